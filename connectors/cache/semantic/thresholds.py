"""How similar is similar enough: for each skeleton what was seen of it, and of all that never went wrong together.

A skeleton alone is asked about too seldom to prove anything, so those that were never wrong lend each other what was
seen. One that was wrong once has to prove itself by its own observations.
"""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Final

from cachetools import LRUCache
from pydantic import TypeAdapter

from connectors.cache.semantic.bound import Row, Threshold

# Of what is served, as much may be wrong by what a threshold proves; the audit says what is.
AMONG_SERVED: Final = 0.02
MOST_SKELETONS: Final = 10_000

_ROWS: Final = TypeAdapter(list[Row])


def prior() -> list[Row]:
    """Give what was seen of the pairs of questions that come with the project (`scripts/bench cache --learn`)."""
    return _ROWS.validate_json(files("connectors.cache.semantic").joinpath("prior.json").read_bytes())


class Thresholds:
    """Learns from verdicts; for one event loop."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Begin with what was seen before."""
        self._common = Threshold.of(rows)
        self._own: LRUCache[str, Threshold] = LRUCache(MOST_SKELETONS)

    def seen(self, skeleton: str, similarity: float, *, correct: bool) -> None:
        """Learn whether an answer was right for a question of this skeleton."""
        own = self._own.get(skeleton)
        if own is None and correct:
            self._common.seen(similarity, correct=True)
            return
        if own is None:
            own = self._own[skeleton] = Threshold()
        own.seen(similarity, correct=correct)

    def explore_probability(self, skeleton: str, similarity: float, delta: float) -> float:
        """Give how often a model has to be asked although there is a similar question."""
        threshold = self._own.get(skeleton, self._common)
        return threshold.explore_probability(similarity, delta, among_served=AMONG_SERVED)

    @property
    def failed(self) -> Sequence[str]:
        """The skeletons that were wrong."""
        return list(self._own)
