"""From Kafka's records to columns, and batches of a partition into one."""

import numpy as np
import pytest

from connectors.timescale.ledger import PartitionKey
from streams.agents.ingest import merge
from streams.agents.partitions import Partition
from streams.agents.records import raw_batch
from streams.columns.batch import RawBatch
from tests.fakes.records import FakeRecord


def test_records_become_columns() -> None:
    batch = raw_batch(
        [FakeRecord(7, 1_772_366_400_001, b"a", None), FakeRecord(9, -1, None, b"x"), FakeRecord(2**40, 5)]
    )

    assert (batch.topic, batch.partition, len(batch), batch.end) == ("readings", 3, 3, 2**40 + 1)
    assert batch.offsets.tolist() == [7, 9, 2**40]
    assert batch.accepted.tolist() == [1_772_366_400_001_000, -1000, 5000]
    assert batch.accepted.dtype == batch.offsets.dtype == np.int64
    assert list(batch.keys) == [b"a", None, b"k"]
    assert list(batch.values) == [None, b"x", b"v"]


def batch(partition: int, first: int, count: int, topic: str = "readings") -> RawBatch:
    return raw_batch(
        [FakeRecord(first + at, at, b"%d" % at, b"%d" % (first + at), topic, partition) for at in range(count)]
    )


def content(of: RawBatch) -> tuple[str, int, list[int], list[int], list[bytes | None], list[bytes | None]]:
    return of.topic, of.partition, of.offsets.tolist(), of.accepted.tolist(), list(of.keys), list(of.values)


def test_batches_of_a_partition_become_one_in_their_order() -> None:
    merged = merge([batch(0, 5, 2), batch(1, 5, 1), batch(0, 7, 3), batch(0, 20, 1, "other"), batch(1, 9, 1)])

    assert [(each.topic, each.partition, each.offsets.tolist()) for each in merged] == [
        ("readings", 0, [5, 6, 7, 8, 9]),
        ("readings", 1, [5, 9]),
        ("other", 0, [20]),
    ]
    assert content(merged[0]) == content(
        raw_batch(
            [
                *[FakeRecord(5 + at, at, b"%d" % at, b"%d" % (5 + at), "readings", 0) for at in range(2)],
                *[FakeRecord(7 + at, at, b"%d" % at, b"%d" % (7 + at), "readings", 0) for at in range(3)],
            ]
        )
    )


def test_a_batch_alone_stays_what_it_is() -> None:
    one = batch(0, 5, 2)

    assert merge([one])[0] is one
    assert merge([]) == []


@pytest.mark.parametrize("first", [0, 1, 3])
def test_the_rest_of_a_batch(first: int) -> None:
    whole = batch(0, 5, 3)

    rest = whole.since(first)

    assert rest.offsets.tolist() == [5, 6, 7][first:]
    assert rest.accepted.tolist() == [0, 1000, 2000][first:]
    assert list(rest.keys) == [b"0", b"1", b"2"][first:]
    assert list(rest.values) == [b"5", b"6", b"7"][first:]


@pytest.mark.parametrize(("position", "snapshot", "unsaved"), [(5, 5, False), (6, 5, True), (5, 0, True)])
def test_what_a_snapshot_does_not_cover(position: int, snapshot: int, unsaved: bool) -> None:  # noqa: FBT001  # a parameter
    key = PartitionKey("c", "readings", "", 0)
    partition = Partition(key, epoch=1, next_offset=0, position=0, taken=position, snapshot_offset=snapshot)

    assert partition.unsaved is unsaved
