"""Are the answers that the cache serves right? A random part of them is asked again in the background, and judged.

What the verdicts of the last week prove decides what is served:

- open: nothing speaks against it. Until the bound is proven, more is checked.
- tightened: more than `delta` of what was checked was wrong, which may be chance. Only the most similar questions are
  served, and every answer is checked.
- off: it is no chance (the lower bound with 95 % confidence is above `delta`). Nothing is served; what would have been
  is asked and judged all the same, until that proves that at most `delta` of it is wrong. What was before is forgotten.

The lower bound is looked at after every verdict, not once, so that a cache whose errors are just below `delta` is
turned off by chance more often than in 5 % of all cases: it costs calls of the model, and no wrong answers.
"""

import random as randomness
from dataclasses import dataclass
from enum import StrEnum

from connectors.cache.semantic.proportion import checks_needed, lower_bound, upper_bound
from connectors.cache.semantic.verdicts import Buckets, Window, bucket_of, merged, recent, total

# The share of wrong answers that is allowed.
DELTA = 0.005
# The share of what is served that is checked once the bound is proven, and before.
FRACTION, FLOOR = 0.02, 0.25
# How similar a question has to be while the tier is tightened.
TIGHT = 0.97


class State(StrEnum):
    """How far the tier is trusted."""

    OPEN = "open"
    TIGHTENED = "tightened"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, and what it proves: bounds of the share that is wrong, each with 95 % confidence."""

    state: State
    delta: float
    checked: int
    wrong: int
    lower: float
    upper: float
    # How many more checks, none of them wrong, prove that at most `delta` is wrong. 0: it is proven.
    missing: int

    @property
    def proven(self) -> bool:
        """Whether at most `delta` is wrong, with 95 % confidence."""
        return self.missing == 0

    def __str__(self) -> str:
        said = f"{self.state}: {self.wrong} wrong of {self.checked} checked, at most {self.upper:.2%} are wrong"
        if self.proven:
            return said
        return f"{said}; unproven: for {self.delta:.2%}, {self.missing} more checks without a wrong one are needed"


class Audit:
    """One process's audit, which hears of the others'. Told the time in seconds since the epoch; not for threads.

    Per lookup that found something similar: if `serves`, serve it, and if then `checks`, ask again and `note`. Else, if
    `shadows`, ask, compare the answer with the stored one, and `note`. Else ask. Verdicts fade as time is told: by
    `note`, `hear` or `report`.
    """

    def __init__(
        self,
        random: randomness.Random,
        *,
        delta: float = DELTA,
        fraction: float = FRACTION,
        floor: float = FLOOR,
        tight: float = TIGHT,
    ) -> None:
        """Take the share of wrong answers that is allowed, and of served ones that are checked.

        Raises:
            ValueError: a share is not between 0 and 1.

        """
        if not (0.0 < delta < 1.0 and 0.0 < fraction <= 1.0 and 0.0 < floor <= 1.0):
            message = f"no shares: delta {delta}, fraction {fraction}, floor {floor}"
            raise ValueError(message)
        self._random = random
        self._delta, self._tight = delta, tight
        # Once the bound is proven, and before.
        self._rates = (fraction, max(fraction, floor))
        self._own = Window()
        self._heard: dict[int, tuple[int, int]] = {}
        self._since: int | None = None
        self._state = State.OPEN
        self._proven = False

    @property
    def state(self) -> State:
        """How far the tier is trusted, by what was told last."""
        return self._state

    @property
    def buckets(self) -> Buckets:
        """This process's own verdicts, for others to hear."""
        return self._own.buckets

    def serves(self, similarity: float, tau: float) -> bool:
        """Draw whether to serve, where the model has to be asked with a probability of `tau`."""
        if self._state is State.OFF or (self._state is State.TIGHTENED and not similarity >= self._tight):
            return False
        return self._random.random() >= tau

    def shadows(self, tau: float) -> bool:
        """Draw whether this would have been served, were the tier not off: then it is to be judged and noted."""
        return self._state is State.OFF and self._random.random() >= tau

    def checks(self) -> bool:
        """Draw whether what was just served is to be asked again, judged and noted."""
        if self._state is not State.OPEN:
            return True
        return self._random.random() < self._rates[0 if self._proven else 1]

    def note(self, now: float, *, wrong: bool) -> None:
        """Add a verdict about what was served, or would have been."""
        self._own.note(now, wrong=wrong)
        self._judge(bucket_of(now))

    def hear(self, now: float, *others: Buckets) -> None:
        """Replace what is known of the other processes' verdicts by these, of one process each."""
        self._heard = recent(merged(*others), bucket_of(now))
        self._judge(bucket_of(now))

    def report(self, now: float) -> Report:
        """Say what the verdicts up to now prove."""
        return self._judge(bucket_of(now))

    def _judge(self, newest: int) -> Report:
        if self._since is not None:
            self._since = min(self._since, newest)  # the clock went back
        checked, wrong = self._counted(newest)
        lower = lower_bound(wrong, checked)
        if self._state is State.OFF:
            if upper_bound(wrong, checked) <= self._delta:
                self._state = State.OPEN
        elif lower > self._delta:
            # The verdicts that led here have done their work: the next ones are to prove the contrary.
            self._state, self._since = State.OFF, newest
        else:
            self._state = State.TIGHTENED if wrong > self._delta * checked else State.OPEN
        return self._reported(checked, wrong)

    def _reported(self, checked: int, wrong: int) -> Report:
        upper = upper_bound(wrong, checked)
        self._proven = upper <= self._delta
        missing = 0 if self._proven else max(1, checks_needed(self._delta, wrong) - checked)
        return Report(self._state, self._delta, checked, wrong, lower_bound(wrong, checked), upper, missing)

    def _counted(self, newest: int) -> tuple[int, int]:
        return total(recent(merged(self._own.buckets, self._heard), newest, self._since))
