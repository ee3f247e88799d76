from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connectors.timescale import ledger
from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, LogChangedError, Marks, PartitionKey
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import OnConflicts, PartitionRows

pytestmark = pytest.mark.database

Part = Callable[..., PartitionRows]
Fetch = Callable[..., list[tuple[object, ...]]]
Claim = Callable[..., Marks]
Owned = tuple[PartitionKey, int]

EVERYTHING = "select * from sink_offsets order by cluster_id, topic, topic_id, partition"


def test_a_partition_that_was_never_read_starts_at_the_logs_start(store: Store, claim: Claim) -> None:
    marks = claim(store, log_start=40, log_end=50)
    assert (marks.next_offset, marks.snapshot_offset) == (40, 40)


def test_a_known_partition_goes_on_where_it_was(
    store: Store, owned: Owned, part: Part, claim: Claim, nobody: OnConflicts
) -> None:
    key, epoch = owned
    store.write([part(owned, [(0, 1, 0), (1, 1, 0)])], nobody)
    store.save_snapshot(key, epoch, offset=1, detector="d", blocks={})
    marks = claim(store, log_start=1, log_end=2)  # both bounds may be reached, not passed
    assert (marks.next_offset, marks.snapshot_offset) == (2, 1)
    assert marks.epoch > epoch


@pytest.fixture
def read_to_ten(store: Store, owned: Owned, part: Part, nobody: OnConflicts) -> PartitionKey:
    """A partition whose rows are stored up to 10 and whose snapshot is of 6."""
    key, epoch = owned
    store.write([part(owned, [(second, 1, 0) for second in range(10)])], nobody)
    store.save_snapshot(key, epoch, offset=6, detector="d", blocks={0: b"state"})
    return key


@pytest.mark.parametrize(
    ("changes", "start", "end", "says"),
    [
        ({"topic_id": "life-2"}, 0, 10, "was deleted and made anew"),
        ({"topic_id": ""}, 0, 10, "was deleted and made anew"),
        ({"topic_id": "life-2", "partition": 5}, 0, 0, "was deleted and made anew"),
        ({}, 0, 9, r"ends at 9, but records up to 10 are stored"),
        ({}, 0, 0, r"ends at 0, but records up to 10 are stored"),
        ({}, 7, 20, r"Records 6 to 6 .* expired"),
        ({}, 15, 20, r"Records 6 to 14 .* expired"),
    ],
)
def test_a_log_that_is_not_the_one_we_know_is_refused_and_nothing_changes(
    store: Store,
    read_to_ten: PartitionKey,
    claim: Claim,
    fetch: Fetch,
    changes: dict[str, Any],
    start: int,
    end: int,
    says: str,
) -> None:
    before = fetch(EVERYTHING)
    with pytest.raises(LogChangedError, match=says) as caught:
        claim(store, replace(read_to_ten, **changes), log_start=start, log_end=end)
    assert "tidegate topics forget readings" in str(caught.value)
    assert fetch(EVERYTHING) == before
    assert store.load_snapshot(read_to_ten, "d") == {0: b"state"}


def test_another_cluster_or_topic_has_marks_of_its_own(store: Store, read_to_ten: PartitionKey, claim: Claim) -> None:
    for name in (
        replace(read_to_ten, cluster_id="elsewhere", topic_id="life-9"),
        replace(read_to_ten, topic="eu.readings", topic_id="life-9"),
        replace(read_to_ten, partition=1),
    ):
        assert claim(store, name).next_offset == 0


def test_forget_drops_marks_and_snapshots_of_that_topic_and_says_so(
    database: DatabaseSettings, store: Store, read_to_ten: PartitionKey, claim: Claim, fetch: Fetch
) -> None:
    mirrored = replace(read_to_ten, topic="eu.readings")
    claim(store, mirrored)
    claim(store, replace(read_to_ten, partition=1))
    with connect(database, autocommit=True) as connection:
        assert ledger.forget(connection, "readings", who="alice") == 2
    assert fetch("select topic from sink_offsets") == [("eu.readings",)]
    assert fetch("select count(*) from detector_snapshots") == [(0,)]
    assert fetch("select who, action, detail from audit") == [("alice", "topics forget", {"topic": "readings"})]
    again = claim(store, replace(read_to_ten, topic_id="life-2"), log_start=3, log_end=4)
    assert (again.next_offset, again.snapshot_offset) == (3, 3)


def test_totals_add_up_over_partitions(
    database: DatabaseSettings, store: Store, owned: Owned, part: Part, claim: Claim
) -> None:
    other = replace(owned[0], partition=1)
    two = other, claim(store, other).epoch
    store.write([part(owned, [(0, 1, 0), (0, 1, 0), (0, 2, 0)], poison=[3]), part(two, [(1, 1, 0)])], lambda _: None)
    with connect(database) as connection:
        assert ledger.totals(connection) == Counts(stored=2, duplicates=1, conflicts=1, poison=1)
