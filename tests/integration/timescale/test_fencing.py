"""A worker that lost its partition writes nothing, however late it notices."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from connectors.timescale import ledger
from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, FencedError, Marks, PartitionKey
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, OnConflicts, PartitionRows

pytestmark = pytest.mark.database

Part = Callable[..., PartitionRows]
Table = Callable[[], list[tuple[object, ...]]]
Owned = tuple[PartitionKey, int]
Claim = Callable[..., Marks]


def test_an_older_epoch_is_refused(
    store: Store, owned: Owned, part: Part, claim: Claim, table: Table, nobody: OnConflicts
) -> None:
    key, epoch = owned
    store.write([part(owned, [(0, 1, 0)])], nobody)
    newer = claim(store)
    assert newer.epoch > epoch
    with pytest.raises(FencedError):
        store.write([part(owned, [(1, 1, 0)], at=1)], nobody)
    with pytest.raises(FencedError):
        store.write([part(owned, [(0, 1, 0)])], nobody)  # not even what is stored already
    with pytest.raises(FencedError):
        store.save_snapshot(key, epoch, offset=1, detector="d", blocks={0: b"old"})
    assert table() == [(0, 1, 0)]
    assert store.load_snapshot(key, "d") == {}
    assert (claim(store).next_offset, claim(store).snapshot_offset) == (1, 0)


def test_a_partition_that_nobody_claimed_is_refused(
    store: Store, key: PartitionKey, part: Part, nobody: OnConflicts
) -> None:
    with pytest.raises(FencedError):
        store.write([part((key, 1), [(0, 1, 0)])], nobody)


def test_an_epoch_does_not_come_back_after_the_topic_was_forgotten(
    database: DatabaseSettings, store: Store, owned: Owned, part: Part, claim: Claim, nobody: OnConflicts
) -> None:
    with connect(database, autocommit=True) as connection:
        ledger.forget(connection, "readings", who="test")
    assert claim(store).epoch > owned[1]
    with pytest.raises(FencedError):
        store.write([part(owned, [(0, 1, 0)])], nobody)


def test_a_claim_does_not_wait_for_a_writer_that_stands_still_in_its_transaction(
    open_store: Callable[..., Store],
    owned: Owned,
    part: Part,
    claim: Claim,
    table: Table,
    in_thread: ThreadPoolExecutor,
) -> None:
    zombie, successor = open_store(), open_store()
    halfway, go_on = threading.Event(), threading.Event()

    def hold(_: Sequence[Conflict]) -> None:
        halfway.set()
        assert go_on.wait(60)

    writing = in_thread.submit(zombie.write, [part(owned, [(0, 1, 0), (0, 2, 0)])], hold)
    assert halfway.wait(20)
    try:
        assert in_thread.submit(claim, successor).result(20).next_offset == 0  # it has the lock, and nothing is stored
    finally:
        go_on.set()
    with pytest.raises(FencedError):
        writing.result(20)
    assert table() == []


def test_a_claim_leaves_alone_who_writes_for_other_partitions(
    open_store: Callable[..., Store],
    owned: Owned,
    part: Part,
    claim: Claim,
    table: Table,
    in_thread: ThreadPoolExecutor,
) -> None:
    writer, newcomer = open_store(), open_store()
    halfway, go_on = threading.Event(), threading.Event()
    attempts = []

    def hold(_: Sequence[Conflict]) -> None:
        attempts.append(1)
        halfway.set()
        assert go_on.wait(60)

    writing = in_thread.submit(writer.write, [part(owned, [(0, 1, 0), (0, 2, 0)])], hold)
    assert halfway.wait(20)
    try:
        claim(newcomer, replace(owned[0], partition=1))
    finally:
        go_on.set()
    assert writing.result(20) == Counts(stored=1, conflicts=1)
    assert (len(attempts), table()) == (1, [(0, 1, 0)])


def test_a_writer_that_waits_for_a_claim_is_refused(
    database: DatabaseSettings,
    store: Store,
    owned: Owned,
    part: Part,
    table: Table,
    nobody: OnConflicts,
    until_blocked: Callable[[], None],
    in_thread: ThreadPoolExecutor,
) -> None:
    with connect(database, autocommit=True) as claiming:
        with claiming.transaction():
            ledger.claim(claiming, owned[0], owner="successor", log_start=0, log_end=9)
            writing = in_thread.submit(store.write, [part(owned, [(0, 1, 0)])], nobody)
            saving = in_thread.submit(_save, database, owned)
            until_blocked()
        with pytest.raises(FencedError):
            writing.result(20)
        with pytest.raises(FencedError):
            saving.result(20)
    assert table() == []


def _save(database: DatabaseSettings, owned: Owned) -> None:
    store = Store(database)
    try:
        store.save_snapshot(*owned, offset=1, detector="d", blocks={0: b"old"})
    finally:
        store.close()


def test_of_claims_at_once_the_last_one_owns_the_partition(
    open_store: Callable[..., Store],
    key: PartitionKey,
    part: Part,
    claim: Claim,
    nobody: OnConflicts,
    in_thread: ThreadPoolExecutor,
) -> None:
    stores = [open_store() for _ in range(4)]
    epochs = [marks.epoch for marks in in_thread.map(claim, stores)]
    assert len(set(epochs)) == 4
    for store, epoch in zip(stores, epochs, strict=True):
        rows = [part((key, epoch), [(0, 1, 0)])]
        if epoch == max(epochs):
            assert store.write(rows, nobody) == Counts(stored=1)
        else:
            with pytest.raises(FencedError):
                store.write(rows, nobody)


def test_two_writers_of_the_same_keys_at_once_store_each_once(
    database: DatabaseSettings,
    open_store: Callable[..., Store],
    key: PartitionKey,
    part: Part,
    claim: Claim,
    table: Table,
    nobody: OnConflicts,
    in_thread: ThreadPoolExecutor,
) -> None:
    """Their COPYs wait for each other and deadlock: one is tried again and finds what the other stored."""
    writers = []
    for partition in range(2):
        store = open_store()
        name = PartitionKey(key.cluster_id, key.topic, key.topic_id, partition)
        writers.append((store, (name, claim(store, name).epoch)))
    seconds = [float(second) for second in range(3000)]
    orders = [seconds, seconds[::-1]]
    together = threading.Barrier(2)

    def write(number: int) -> Counts:
        store, owned = writers[number]
        rows = part(owned, [(second, 1, 0) for second in orders[number]])
        together.wait(20)
        return store.write([rows], nobody)

    counts = list(in_thread.map(write, range(2)))
    assert sum(counts, Counts()) == Counts(stored=3000, duplicates=3000)
    assert table() == [(second, 1, 0) for second in seconds]
    with connect(database) as connection:
        assert ledger.totals(connection) == Counts(stored=3000, duplicates=3000)


def test_the_lock_is_one_row_and_stops_no_other_partition(
    database: DatabaseSettings, store: Store, owned: Owned, part: Part, claim: Claim, nobody: OnConflicts
) -> None:
    other = PartitionKey("cluster", "readings", "life-1", 1)
    marked = other, claim(store, other).epoch
    with connect(database) as connection, connection.cursor() as cursor:
        ledger.lock(cursor, *owned)
        assert store.write([part(marked, [(0, 1, 0)])], nobody) == Counts(stored=1)
        with connect(database) as second, pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute("select 1 from sink_offsets where partition = 0 for update nowait")
