"""From which similarity on a stored answer may be served, learnt question by question, with a bound on the error.

After vCache (Schroeder and others, "vCache: Verified Semantic Prompt Caching", arXiv:2502.03771). A stored question
keeps what was seen: a similarity s, and whether its answer was right for the question that was asked. The probability
of "right" is modelled as a logistic curve in s, 1 / (1 + exp(-gamma (s - t))), fitted by maximum likelihood. All
curves that the likelihood does not exclude at a level eps form a region that holds the true one with a probability of
1 - eps, so an answer is right with a probability of at least

    alpha = (1 - eps) * (the least that a curve of the region says at s),     at the best eps.

Who asks the model with a probability of tau and serves otherwise errs with (1 - tau) (1 - alpha) at the most, which
is delta for tau = 1 - delta / (1 - alpha).

That bounds what is wrong among all answers, the model's included. Of those that are served, up to 1 - alpha may be
wrong, and with few observations that is much, though little is served then: `among_served` bounds it.

The region is that of the likelihood ratio: with two parameters, curves whose likelihood is at least eps times the
greatest one (Wilks, 1938: -2 ln of the ratio is chi-squared, whose quantile with 2 degrees of freedom is -2 ln eps).
It also exists where right and wrong are separable and no best curve does. The curves are those of a fixed grid,
including steps and constants: where nothing was seen, a steep curve makes the least vanish. No curve falls as s grows.

No logistic curve stays below 1 after a steep rise, as answers do that are wrong now and then however similar the
question is. So alpha is never more than what was right at s and above allows by itself (which is not in the paper).
"""

import math
import random as randomness
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Similarities are told apart in steps of 1/256, and those below the least are never served.
STEPS = 256
LEAST = 0.5
# Of what is served, as much may be wrong unless somebody says less.
AMONG_SERVED = 0.5
# Fewer observations than this prove nothing, whatever the curves say.
FEWEST = 8
# Beyond so many observations all of them count half: what is new weighs more than what is old.
MOST = 4096
# What is left of observations that were halved often is forgotten below this weight.
_LIGHTEST = 0.01

# The slopes of the grid beside 0, and how far the curves are apart: in logits at s = 1 or, where the slope is steep, in
# similarity, half a step. (A curve's logit is gamma (s - t).)
_SLOPES = [2.0**power for power in range(11)]
_LOGITS = 0.25
_LOWEST, _HIGHEST = -8.0, 12.0
# Levels eps below this one change nothing.
_SMALLEST_EPS = 1e-7

_Grid = NDArray[np.float64]
Row = tuple[float, float, float]


class Threshold:
    """What was seen of one stored question (or of several whose answers go wrong alike). Not for several threads."""

    def __init__(self, observations: Sequence[tuple[float, bool]] = ()) -> None:
        """Begin with pairs of a similarity and whether the stored answer was right.

        Raises:
            ValueError: a similarity is not a number.

        """
        # By step: how many were right, and wrong.
        self._seen: dict[int, tuple[float, float]] = {}
        self._total = 0.0
        # By step, from LEAST on: the probability of being right, at the least. None: not computed yet.
        self._alpha: list[float] | None = None
        for similarity, correct in observations:
            self.seen(similarity, correct=correct)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Take up what `rows` gave; those of several thresholds, one after the other, make a common one.

        Raises:
            ValueError: a row is not a similarity with two finite weights from 0 on.

        """
        threshold = cls()
        for similarity, right, wrong in rows:
            if not (0.0 <= right < math.inf and 0.0 <= wrong < math.inf):
                message = f"no weights of observations: {right}, {wrong}"
                raise ValueError(message)
            threshold._add(similarity, right, wrong)  # its own class
        return threshold

    def rows(self) -> list[Row]:
        """Give what was seen as (similarity, how many were right, how many wrong), one row a step: 129 at the most."""
        return [(step / STEPS, *weights) for step, weights in sorted(self._seen.items())]

    @property
    def observations(self) -> float:
        """How many observations count; old ones less than one each."""
        return self._total

    def seen(self, similarity: float, *, correct: bool) -> None:
        """Learn whether the stored answer was right at this similarity.

        Raises:
            ValueError: the similarity is not a number.

        """
        self._add(similarity, float(correct), float(not correct))

    def right_at_least(self, similarity: float) -> float:
        """Give alpha: how probable it is at the least that the stored answer is right."""
        if self._total < FEWEST or not similarity >= LEAST:
            return 0.0
        if self._alpha is None:
            self._alpha = _least_right(self._seen)
        return self._alpha[_step(similarity) - _FIRST]

    def explore_probability(self, similarity: float, delta: float, *, among_served: float = AMONG_SERVED) -> float:
        """Give tau: how often the model has to be asked, so that at most a share `delta` of all answers is wrong.

        It is 1 where more than `among_served` of what is served might be wrong; with both shares equal it is 0 or 1.
        It never grows with the similarity. 1 below LEAST, and for what is no number.
        """
        wrong_at_most = 1.0 - self.right_at_least(similarity)
        if wrong_at_most > among_served:
            return 1.0
        return max(0.0, 1.0 - delta / wrong_at_most) if wrong_at_most > 0.0 else 0.0

    def explores(
        self, similarity: float, delta: float, random: randomness.Random, *, among_served: float = AMONG_SERVED
    ) -> bool:
        """Draw whether to ask the model (and to say by `seen` what came of it), rather than to serve."""
        return random.random() < self.explore_probability(similarity, delta, among_served=among_served)

    def _add(self, similarity: float, right: float, wrong: float) -> None:
        if not math.isfinite(similarity):
            message = f"no similarity: {similarity}"
            raise ValueError(message)
        if similarity < LEAST or not right + wrong:
            return  # nothing is served there, and no curve needs it
        step = _step(similarity)
        before = self._seen.get(step, (0.0, 0.0))
        self._seen[step] = (before[0] + right, before[1] + wrong)
        self._total += right + wrong
        self._alpha = None
        while self._total > MOST:
            halves = {step: (right / 2, wrong / 2) for step, (right, wrong) in self._seen.items()}
            self._seen = {step: weights for step, weights in halves.items() if sum(weights) >= _LIGHTEST}
            self._total = sum(sum(weights) for weights in self._seen.values())


_FIRST = round(LEAST * STEPS)


def _step(similarity: float) -> int:
    # Rounding makes a cosine a little more than 1.
    return min(STEPS, math.floor(similarity * STEPS))


@cache
def _curves() -> tuple[_Grid, _Grid, _Grid]:
    """Give the logarithms of right and of wrong, and the probability of right, all (steps from LEAST on, curves)."""
    logits = []
    s = np.arange(_FIRST, STEPS + 1) / STEPS
    constant = np.arange(_LOWEST, _HIGHEST + _LOGITS, _LOGITS)
    logits.append(np.broadcast_to(constant, (len(s), len(constant))))
    for gamma in _SLOPES:
        apart = max(_LOGITS / gamma, 0.5 / STEPS)
        # From curves that are high everywhere to those that are low everywhere. The steep ones lie between steps.
        t = np.arange(LEAST - _HIGHEST / gamma, 1.0 - _LOWEST / gamma, apart)
        logits.append(gamma * (s[:, None] - t[None, :]))
    all_logits = np.concatenate(logits, axis=1)
    log_right = -np.logaddexp(0.0, -all_logits)
    log_wrong = -np.logaddexp(0.0, all_logits)
    return log_right, log_wrong, np.exp(log_right)


def _least_right(seen: dict[int, tuple[float, float]]) -> list[float]:
    """Give alpha for each step from LEAST on."""
    log_right, log_wrong, right = _curves()
    places = [step - _FIRST for step in seen]
    weights = np.array(list(seen.values()))
    likelihood = weights[:, 0] @ log_right[places] + weights[:, 1] @ log_wrong[places]
    ratio = np.exp(likelihood - likelihood.max())
    order = np.flatnonzero(ratio >= _SMALLEST_EPS)
    order = order[np.argsort(-ratio[order])]
    # At the level eps = the k-th ratio, the region is the first k curves; at the smallest level it is all of them.
    least = np.minimum.accumulate(right[:, order], axis=1)
    by_level = ((1.0 - ratio[order]) * least).max(axis=1)
    alpha = np.maximum(by_level, (1.0 - _SMALLEST_EPS) * least[:, -1])
    capped: list[float] = np.minimum(alpha, 1.0 - _wrong_at_least(places, weights)).tolist()
    return capped


def _wrong_at_least(places: list[int], weights: _Grid) -> _Grid:
    """Give for each step what is wrong there and above, less its standard error (Wilson's, 1927); it does not grow."""
    right, wrong = np.zeros((2, STEPS + 1 - _FIRST))
    right[places], wrong[places] = weights.T
    above = np.cumsum(wrong[::-1])[::-1]
    number = np.maximum(above + np.cumsum(right[::-1])[::-1], _LIGHTEST)
    share = above / number
    error = np.sqrt(share * (1.0 - share) / number + 0.25 / number**2)
    lower: _Grid = (share + 0.5 / number - error) / (1.0 + 1.0 / number)
    return np.minimum.accumulate(np.maximum(lower, 0.0))
