"""What was seen of forms decides what is served: in this process at once, in all a few seconds later."""

import random as randomness
from typing import Final

from connectors import metrics
from connectors.cache.guard import AwayError, Guarded
from connectors.cache.semantic.audit import DELTA, Audit, Report, State
from connectors.cache.semantic.equivalence import Equivalences
from connectors.cache.semantic.store import Store
from connectors.cache.semantic.verdicts import Window
from connectors.questions import Verdict

# Verdicts that wait to be written: of more the oldest are lost, which only makes what is proven weaker.
MOST_PENDING: Final = 10_000
# How many ids back a verdict may still become visible, as ids are given before rows can be seen.
OVERLAP: Final = 1_000


class Judging:
    """Draws, and learns from verdicts; for one event loop."""

    def __init__(self, store: Guarded[Store], *, worker: str, delta: float = DELTA) -> None:
        """Nothing was seen yet; `worker` is another one in each process."""
        self.known = Equivalences()
        self._audit = Audit(randomness.Random(), delta=delta)  # noqa: S311  # spreads checks, no more
        self._delta = delta
        self._store = store
        self._worker = worker
        self._pending: list[Verdict] = []
        self._others = Window()
        self._heard: set[int] = set()
        self._since = 0

    def draw(self, form: str, other: str) -> tuple[bool, bool]:
        """Say whether to serve, and whether the answer is to be checked against a model's for the audit."""
        tau = self.known.explore_probability(form, other, self._delta)
        # While the tier is tightened only questions of the very same form are served.
        if self._audit.serves(float(form == other), tau):
            return True, self._audit.checks()
        return False, self._audit.shadows(tau)

    def is_open(self, form: str, other: str) -> bool:
        """Say whether another comparison of two forms may teach anything."""
        return self.known.is_open(form, other)

    def note(self, form: str, other: str, *, correct: bool, audited: bool) -> None:
        """Learn from a comparison; `audited`: it was drawn for that (`checks`)."""
        now = self._now()
        self.known.seen(form, other, correct=correct)
        if audited:
            self._audit.note(now, wrong=not correct)
        self._pending.append(Verdict(self._worker, now, form, other, correct=correct, served=audited))
        del self._pending[:-MOST_PENDING]

    def report(self) -> Report:
        """Say what the audit proves by now."""
        return self._audit.report(self._now())

    async def exchange(self) -> None:
        """Write down what was seen here, and learn what others saw. If that fails, the next time does it."""
        pending, self._pending = self._pending, []
        try:
            if pending:
                await self._store.do(lambda store: store.say(pending))
                pending = []
            while await self._listen():
                pass
        except AwayError:
            pass
        finally:
            self._pending = pending + self._pending
        self._heard = {one for one in self._heard if one > self._since - OVERLAP}
        self._audit.hear(self._now(), self._others.buckets)
        report = self.report()
        metrics.SEMANTIC_WRONG.labels("lower").set(report.lower)
        metrics.SEMANTIC_WRONG.labels("upper").set(report.upper)
        metrics.SEMANTIC_CHECKED.labels("right").set(report.checked - report.wrong)
        metrics.SEMANTIC_CHECKED.labels("wrong").set(report.wrong)
        for state in State:
            metrics.SEMANTIC_STATE.labels(state).set(state is report.state)

    async def _listen(self) -> int:
        """Read verdicts, so many at a time; say how many were news."""
        said = await self._store.do(lambda store: store.said(max(0, self._since - OVERLAP)))
        return sum(self._hear(verdict) for verdict in said)

    def _hear(self, verdict: Verdict) -> bool:
        self._since = max(self._since, verdict.id)
        if verdict.id in self._heard:
            return False
        self._heard.add(verdict.id)
        if verdict.worker != self._worker:
            self.known.seen(verdict.form, verdict.other, correct=verdict.correct)
            if verdict.served:
                self._others.note(verdict.at, wrong=not verdict.correct)
        return True

    def _now(self) -> float:
        return self._store.clock.now().timestamp()
