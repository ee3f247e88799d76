from collections.abc import Callable
from dataclasses import replace

import pytest

from connectors.timescale.ledger import Marks, PartitionKey
from connectors.timescale.store import Store

pytestmark = pytest.mark.database

Owned = tuple[PartitionKey, int]


def test_only_what_changed_is_written_and_the_rest_stays(
    store: Store, owned: Owned, claim: Callable[..., Marks]
) -> None:
    key, epoch = owned
    store.save_snapshot(key, epoch, offset=5, detector="d1", blocks={0: b"zero", 1: b"one\x00", 7: b""})
    store.save_snapshot(key, epoch, offset=9, detector="d1", blocks={1: b"one, later", 2: b"two"})
    assert store.load_snapshot(key, "d1") == {0: b"zero", 1: b"one, later", 2: b"two", 7: b""}
    store.save_snapshot(key, epoch, offset=12, detector="d1", blocks={})
    assert len(store.load_snapshot(key, "d1")) == 4
    assert claim(store).snapshot_offset == 12


def test_another_detectors_state_is_not_loaded_and_goes_when_this_one_saves(store: Store, owned: Owned) -> None:
    key, epoch = owned
    store.save_snapshot(key, epoch, offset=5, detector="d1", blocks={0: b"zero", 1: b"one"})
    assert store.load_snapshot(key, "d2") == {}
    store.save_snapshot(key, epoch, offset=6, detector="d2", blocks={1: b"new"})
    assert store.load_snapshot(key, "d2") == {1: b"new"}
    assert store.load_snapshot(key, "d1") == {}


def test_another_partitions_state_is_not_touched(store: Store, owned: Owned, claim: Callable[..., Marks]) -> None:
    key, epoch = owned
    other = replace(key, partition=1)
    store.save_snapshot(other, claim(store, other).epoch, offset=5, detector="d1", blocks={0: b"other"})
    store.save_snapshot(key, epoch, offset=6, detector="d2", blocks={0: b"ours"})
    assert store.load_snapshot(other, "d1") == {0: b"other"}
    assert claim(store, other).snapshot_offset == 5


def test_a_large_state_comes_back_whole(store: Store, owned: Owned) -> None:
    key, epoch = owned
    blocks = {block: bytes([block % 256]) * 65536 for block in range(100)}
    store.save_snapshot(key, epoch, offset=1, detector="d1", blocks=blocks)
    assert store.load_snapshot(key, "d1") == blocks
