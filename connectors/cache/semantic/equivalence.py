"""Which forms of questions mean the same, learnt from the answers to both.

Two questions with equal values (`slots`) whose forms differ are the same question, or they are not: no measure of how
alike their words are tells which. A model's answers to both do, now and then wrongly. So each pair of forms has odds of
meaning the same, at first those of any such pair; each comparison of answers multiplies them by what it says (Bayes),
where both an agreement by chance and a disagreement by chance are as likely as `NOISE`. From the odds follows how
probable it is that one answer is right for the other question, and from that, as in vCache (Schroeder and others,
"vCache: Verified Semantic Prompt Caching", arXiv:2502.03771), how often a model has to be asked for at most a share
delta of all answers to be wrong. Forms that are linked through others mean the same if all links are trusted.
"""

from collections import deque
from typing import Final

from cachetools import LRUCache

# The odds of any two forms with equal values, and how likely answers agree, or differ, by chance.
PRIOR: Final = 0.3
NOISE: Final = 0.1
# A link that others are built on is right with at least that probability; and there are so many on the way at the most.
TRUSTED: Final = 0.9987
LONGEST_WAY: Final = 4
# What means the same with less than that probability is not compared again: each comparison costs a call.
UNLIKELY: Final = 0.01
MOST_LINKS: Final = 50_000

_Pair = tuple[str, str]


class Equivalences:
    """What is known of pairs of forms; for one event loop."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        # How many comparisons spoke for a link more than against it.
        self._seen: LRUCache[_Pair, int] = LRUCache(MOST_LINKS)
        self._trusted: dict[str, set[str]] = {}

    def seen(self, one: str, other: str, *, correct: bool) -> None:
        """Learn whether the answer to a question of one form was right for one of the other."""
        if one == other:
            return
        pair = _pair(one, other)
        if pair not in self._seen and len(self._seen) >= MOST_LINKS:
            oldest, _ = self._seen.popitem()
            self._trust(oldest, trusted=False)
        self._seen[pair] = self._seen.get(pair, 0) + (1 if correct else -1)
        self._trust(pair, trusted=_probability(self._seen[pair]) >= TRUSTED)

    def right_at_least(self, one: str, other: str) -> float:
        """Give how probable it is that two forms mean the same, at the least."""
        if one == other:
            return 1.0
        direct = _probability(self._seen.get(_pair(one, other), 0))
        if self._seen.get(_pair(one, other), 0) < 0:
            return direct
        way = self._way(one, other)
        return direct if way is None else max(direct, TRUSTED**way)

    def explore_probability(self, one: str, other: str, delta: float) -> float:
        """Give tau: how often a model has to be asked, so that at most a share `delta` of all answers is wrong."""
        wrong = 1.0 - self.right_at_least(one, other)
        # Of what is served not more than twice as much may be wrong, however seldom it is served.
        return max(0.0, 1.0 - delta / wrong) if 0.0 < wrong <= 2 * delta else float(wrong > 0.0)

    def is_open(self, one: str, other: str) -> bool:
        """Say whether another comparison may teach anything: it is not known whether they mean the same."""
        return UNLIKELY < self.right_at_least(one, other) < TRUSTED

    def __len__(self) -> int:
        return len(self._seen)

    def _trust(self, pair: _Pair, *, trusted: bool) -> None:
        for one, other in (pair, pair[::-1]):
            if trusted:
                self._trusted.setdefault(one, set()).add(other)
            elif one in self._trusted:
                self._trusted[one].discard(other)
                if not self._trusted[one]:
                    del self._trusted[one]

    def _way(self, one: str, other: str) -> int | None:
        """Give how many trusted links lead from one form to another."""
        ways = {one: 0}
        waiting = deque([one])
        while waiting:
            here = waiting.popleft()
            if ways[here] >= LONGEST_WAY:
                return None
            for form in self._trusted.get(here, ()):
                if form == other:
                    return ways[here] + 1
                if form not in ways:
                    ways[form] = ways[here] + 1
                    waiting.append(form)
        return None


def _pair(one: str, other: str) -> _Pair:
    return (one, other) if one < other else (other, one)


def _probability(more: int) -> float:
    odds = PRIOR / (1.0 - PRIOR) * ((1.0 - NOISE) / NOISE) ** max(-50, min(50, more))
    return odds / (1.0 + odds)
