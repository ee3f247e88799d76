from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, FencedError, Marks, PartitionKey
from connectors.timescale.settings import ConflictPolicy, DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, OnConflicts, PartitionRows, Writer

pytestmark = pytest.mark.database

Part = Callable[..., PartitionRows]
Table = Callable[[], list[tuple[object, ...]]]
Owned = tuple[PartitionKey, int]


class DeadLettersDownError(Exception):
    pass


def fail(_: Sequence[Conflict]) -> None:
    raise DeadLettersDownError


def test_rows_are_stored_once_however_they_are_redelivered(
    store: Store, owned: Owned, part: Part, table: Table, nobody: OnConflicts
) -> None:
    log = [(float(second), float(second), float(second)) for second in range(100)]
    assert store.write([part(owned, log[:40])], nobody) == Counts(stored=40)
    assert store.write([part(owned, log[:40])], nobody) == Counts()
    assert store.write([part(owned, log[25:70], at=25)], nobody) == Counts(stored=30)
    assert store.write([part(owned, log[:100])], nobody) == Counts(stored=30)
    assert store.write([part(owned, log[10:20], at=10)], nobody) == Counts()
    assert table() == log


def test_an_older_batch_does_not_move_the_mark_back(
    store: Store, owned: Owned, part: Part, claim: Callable[..., Marks], nobody: OnConflicts
) -> None:
    store.write([part(owned, [(0, 1, 0), (1, 1, 0), (2, 1, 0)])], nobody)
    store.write([part(owned, [(0, 1, 0)])], nobody)
    assert claim(store).next_offset == 3


def test_a_batch_without_rows_moves_the_mark_and_counts_its_poison_once(
    store: Store, owned: Owned, part: Part, claim: Callable[..., Marks], nobody: OnConflicts
) -> None:
    nothing = part(owned, [], at=0, poison=[0, 1, 2])
    assert store.write([nothing], nobody) == Counts(poison=3)
    assert store.write([nothing], nobody) == Counts()
    assert claim(store).next_offset == 3


def test_offsets_with_gaps_and_records_of_several_metrics(
    store: Store, owned: Owned, part: Part, table: Table, nobody: OnConflicts
) -> None:
    rows = part(owned, [(0, 1, 0), (1, 2, 0), (2, 3, 0), (3, 4, 0)])
    offsets = np.array([5, 5, 90, 90], dtype=np.int64)
    store.write([replace(rows, offsets=offsets, next_offset=91)], nobody)
    again = replace(part(owned, [(2, 9, 0), (3, 9, 0), (4, 5, 0)]), offsets=np.array([90, 90, 95]), next_offset=96)
    assert store.write([again], nobody) == Counts(stored=1)
    assert [value for _, value, _ in table()] == [1, 2, 3, 4, 5]


def test_rows_lie_in_the_order_of_their_key(
    store: Store, owned: Owned, part: Part, nobody: OnConflicts, fetch: Callable[..., list[tuple[object, ...]]]
) -> None:
    store.write([part(owned, [(3, 1, 0), (1, 2, 0), (2, 3, 0)])], nobody)
    assert fetch("select value from readings order by tableoid, ctid") == [(2,), (3,), (1,)]


@pytest.mark.parametrize(("policy", "stands"), [(ConflictPolicy.FIRST, 1.0), (ConflictPolicy.LAST, 3.0)])
@pytest.mark.parametrize("batches", [(3,), (1, 1, 1), (2, 1), (1, 2)])
def test_the_policy_decides_and_the_losers_are_handed_over(
    open_store: Callable[..., Store],
    key: PartitionKey,
    claim: Callable[..., Marks],
    part: Part,
    table: Table,
    policy: ConflictPolicy,
    stands: float,
    batches: Sequence[int],
) -> None:
    store = open_store(policy)
    owned = key, claim(store).epoch
    log = [(0.0, 2.0, 20.0), (0.0, 3.0, 30.0), (0.0, 1.0, 10.0)]
    lost: list[Conflict] = []
    at, counts = 0, Counts()
    for size in batches:
        counts += store.write([part(owned, log[at : at + size], at=at)], lost.extend)
        at += size
    assert [value for _, value, _ in table()] == [stands]
    assert counts == Counts(stored=1, conflicts=2)
    assert {conflict.value for conflict in lost} == {1.0, 2.0, 3.0} - {stands}
    assert lost[-1].device_id == "pump-7"
    assert lost[-1].standing == stands
    assert lost[-1].ts == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_at_the_same_instant_of_acceptance_the_value_decides(
    store: Store, owned: Owned, part: Part, table: Table
) -> None:
    lost: list[Conflict] = []
    for at, value in enumerate([5.0, 4.0, 6.0]):
        store.write([part(owned, [(0, value, 0)], at=at)], lost.extend)
    assert table() == [(0, 4.0, 0)]
    assert sorted(conflict.value for conflict in lost) == [5.0, 6.0]


def test_the_two_zeros_are_the_same_value(store: Store, owned: Owned, part: Part, nobody: OnConflicts) -> None:
    assert store.write([part(owned, [(0, 0.0, 0), (0, -0.0, 1)])], nobody) == Counts(stored=1, duplicates=1)
    assert store.write([part(owned, [(0, -0.0, 0), (0, 0.0, 2)], at=2)], nobody) == Counts(duplicates=2)


def test_duplicates_inside_a_batch_and_of_earlier_ones_are_counted(
    store: Store, owned: Owned, part: Part, table: Table, nobody: OnConflicts
) -> None:
    assert store.write([part(owned, [(0, 1, 0), (1, 1, 0), (0, 1, 1)])], nobody) == Counts(stored=2, duplicates=1)
    again = part(owned, [(0, 1, 2), (1, 1, 2), (2, 1, 2)], at=3)
    assert store.write([again], nobody) == Counts(stored=1, duplicates=2)
    assert table() == [(0, 1, 0), (1, 1, 0), (2, 1, 2)]


def test_extreme_values_and_instants_come_back_as_they_are(
    store: Store, owned: Owned, part: Part, table: Table, nobody: OnConflicts
) -> None:
    log = [(0.0, 1.7976931348623157e308, 0.0), (0.000001, 5e-324, 0.0), (0.000002, -0.0, 0.0)]
    store.write([part(owned, log)], nobody)
    assert table() == log
    for at, year in enumerate((1, 1700, 1969, 2100)):
        long_ago = part(owned, [(0.5, 1.0, 0), (0.5, 1.0, 0)], at=3 + 2 * at, start=datetime(year, 1, 2, tzinfo=UTC))
        assert store.write([long_ago], nobody) == Counts(stored=1, duplicates=1)


def test_nothing_is_stored_when_the_losers_are_not_safe(
    store: Store, owned: Owned, part: Part, table: Table, claim: Callable[..., Marks]
) -> None:
    with pytest.raises(DeadLettersDownError):
        store.write([part(owned, [(0, 1, 0), (0, 2, 0), (1, 1, 0)])], fail)
    assert table() == []
    marks = claim(store)
    assert marks.next_offset == 0
    lost: list[Conflict] = []
    again = part((owned[0], marks.epoch), [(0, 1, 0), (0, 2, 0), (1, 1, 0)])
    assert store.write([again], lost.extend) == Counts(stored=2, conflicts=1)
    assert [conflict.value for conflict in lost] == [2.0]


def test_two_partitions_in_one_transaction_one_of_them_colliding(
    store: Store, owned: Owned, key: PartitionKey, part: Part, claim: Callable[..., Marks], table: Table
) -> None:
    other = replace(key, partition=1)
    two = other, claim(store, other).epoch
    lost: list[Conflict] = []
    counts = store.write(
        [
            part(two, [(10, 1, 0), (10, 2, 0), (11, 1, 0)], poison=[3]),
            part(owned, [(0, 1, 0), (1, 1, 0)]),
        ],
        lost.extend,
    )
    assert counts == Counts(stored=4, conflicts=1, poison=1)
    assert len(table()) == 4
    assert len(lost) == 1
    assert (claim(store).next_offset, claim(store, other).next_offset) == (2, 4)


def test_two_partitions_may_collide_with_each_other(
    store: Store, owned: Owned, key: PartitionKey, part: Part, claim: Callable[..., Marks], table: Table
) -> None:
    other = replace(key, partition=1)
    two = other, claim(store, other).epoch
    lost: list[Conflict] = []
    counts = store.write([part(owned, [(0, 2, 1)]), part(two, [(0, 1, 0)])], lost.extend)
    assert counts == Counts(stored=1, conflicts=1)
    assert table() == [(0, 1, 0)]
    assert [(conflict.value, conflict.standing) for conflict in lost] == [(2.0, 1.0)]


def test_one_old_epoch_among_two_partitions_stores_neither(
    store: Store,
    owned: Owned,
    key: PartitionKey,
    part: Part,
    claim: Callable[..., Marks],
    table: Table,
    nobody: OnConflicts,
) -> None:
    other = replace(key, partition=1)
    old = other, claim(store, other).epoch
    claim(store, other)
    with pytest.raises(FencedError):
        store.write([part(owned, [(0, 1, 0)]), part(old, [(1, 1, 0)])], nobody)
    assert table() == []
    assert claim(store).next_offset == 0


def test_a_key_that_another_writer_is_storing_right_now_is_not_lost(
    database: DatabaseSettings,
    owned: Owned,
    part: Part,
    table: Table,
    until_blocked: Callable[[], None],
    in_thread: ThreadPoolExecutor,
) -> None:
    """The other one commits while this one merges: a value that loses is handed over all the same."""
    lost: list[Conflict] = []
    theirs = (
        "insert into readings values"
        " (timestamptz '2026-03-01 12:00:05+00', 'pump-7', 'temperature', 7, timestamptz '2026-03-01 13:00+00')"
    )
    with connect(database) as overtaking, connect(database, autocommit=True) as connection:

        def commit() -> None:
            until_blocked()
            overtaking.commit()

        class Overtaken(Writer):
            def _merge(self, cursor: "psycopg.Cursor[tuple[object, ...]]", part: PartitionRows) -> Counts:
                overtaking.execute(theirs)
                committing = in_thread.submit(commit)
                counts = super()._merge(cursor, part)
                committing.result(20)
                return counts

        writer = Overtaken(connection, ConflictPolicy.FIRST, lost.extend)
        counts = writer.write([part(owned, [(5, 8, 1), (6, 1, 0), (6, 1, 0)])])
    assert counts == Counts(stored=1, duplicates=1, conflicts=1)
    assert [(conflict.value, conflict.standing) for conflict in lost] == [(8.0, 7.0)]
    assert table() == [(5, 7, 0), (6, 1, 0)]
