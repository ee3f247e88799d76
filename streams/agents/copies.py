"""Copies that a replay has written are taken for what they are copies of: accepted when those were.

So the choice between conflicting readings is the same whenever and however often something is replayed. Whether it is a
copy is proven first: anybody who may write to the topic could claim it (`schemas.origin`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cachetools import LRUCache

from streams.columns.batch import RawBatch

# Gives the secrets of those of these replays that there were.
Known = Callable[[Collection[str]], Mapping[str, bytes]]

# How many replays are remembered. What is not known will never be: a replay is written down before its first record.
_REMEMBERED: Final = 10_000


def nobody(_replays: Collection[str]) -> Mapping[str, bytes]:
    """Know of no replay."""
    return {}


class Remembered:
    """Asks once about each replay; for one thread."""

    def __init__(self, ask: Callable[[Sequence[str]], Mapping[str, bytes]]) -> None:
        """`ask` is somebody who knows (`connectors.timescale.store.Store.known_replays`)."""
        self._ask = ask
        # None: there was none.
        self._known: LRUCache[str, bytes | None] = LRUCache(_REMEMBERED)

    def __call__(self, replays: Collection[str]) -> Mapping[str, bytes]:
        """Give the secrets of those of these that there were. Raises what `ask` does."""
        found = {replay: self._known[replay] for replay in replays if replay in self._known}
        new = sorted(set(replays) - found.keys())
        if new:
            told = self._ask(new)
            asked = {replay: told.get(replay) for replay in new}
            self._known.update(asked)
            found |= asked
        return {replay: secret for replay, secret in found.items() if secret is not None}


def credited(batch: RawBatch, known: Known) -> RawBatch:
    """Give copies the instant at which their origins were accepted; who only claims to be one is a record like others.

    Raises: what `known` does.
    """
    if not batch.origins:
        return batch
    secrets = known({origin.replay for origin in batch.origins.values()})
    origins = {
        position: origin
        for position, origin in batch.origins.items()
        if (secret := secrets.get(origin.replay)) is not None
        and origin.is_proven(secret, batch.keys[position], batch.values[position])
    }
    accepted = batch.accepted.copy()
    for position, origin in origins.items():
        accepted[position] = min(accepted[position], origin.accepted_ms * 1000)
    return replace(batch, accepted=accepted, origins=origins)
