"""Copies that a replay has written are taken for what they are copies of: accepted when those were.

So the choice between conflicting readings is the same whenever and however often something is replayed. Whether there
was such a replay is asked first: anybody who may write to the topic could claim it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from cachetools import LRUCache

from streams.columns.batch import RawBatch

# Says which of these replays there were.
Known = Callable[[Collection[str]], Collection[str]]

# How many replays are remembered. What is not known will never be: a replay is written down before its first record.
_REMEMBERED: Final = 10_000


def nobody(_replays: Collection[str]) -> Collection[str]:
    """Know of no replay."""
    return ()


class Remembered:
    """Asks once about each replay; for one thread."""

    def __init__(self, ask: Callable[[Sequence[str]], Collection[str]]) -> None:
        """`ask` is somebody who knows (`connectors.timescale.store.Store.known_replays`)."""
        self._ask = ask
        self._known: LRUCache[str, bool] = LRUCache(_REMEMBERED)

    def __call__(self, replays: Collection[str]) -> Collection[str]:
        """Say which of these there were. Raises what `ask` does."""
        new = sorted(set(replays) - self._known.keys())
        known = set(self._ask(new)) if new else set()
        found = known | {replay for replay in replays if self._known.get(replay, False)}
        self._known.update({replay: replay in known for replay in new})
        return found


def credited(batch: RawBatch, known: Known) -> RawBatch:
    """Give copies the instant at which their origins were accepted; who only claims to be one is a record like others.

    Raises: what `known` does.
    """
    if not batch.origins:
        return batch
    believed = known({origin.replay for origin in batch.origins.values()})
    origins = {position: origin for position, origin in batch.origins.items() if origin.replay in believed}
    accepted = batch.accepted.copy()
    for position, origin in origins.items():
        accepted[position] = min(accepted[position], origin.accepted_ms * 1000)
    return replace(batch, accepted=accepted, origins=origins)
