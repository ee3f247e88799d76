"""The table of series: growth, snapshots in blocks, what damage does, and what a series costs."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Detector
from streams.detect.layout import FULL, SERIES
from streams.detect.snapshot import SnapshotError
from streams.detect.state import BLOCK, SeriesTable


def table_of(count: int) -> SeriesTable:
    table = SeriesTable()
    indices = np.array([table.index((f"device-{number}", "t")) for number in range(count)], dtype=np.int64)
    table.rows["seen"][indices] = indices + 1
    table.rows["level"][indices] = indices / 3
    table.touched(indices)
    return table


def same(one: SeriesTable, other: SeriesTable) -> bool:
    names = [[table.name(index) for index in range(len(table))] for table in (one, other)]
    return names[0] == names[1] and one.rows[: len(one)].tobytes() == other.rows[: len(other)].tobytes()


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 3])
def test_what_was_written_comes_back(count: int) -> None:
    table = table_of(count)
    blocks = table.changed_blocks()

    restored = SeriesTable.restore(blocks)

    assert len(blocks) == -(-count // BLOCK)
    assert same(restored, table)
    assert restored.changed_blocks() == {}
    for number in range(count):
        assert restored.index((f"device-{number}", "t")) == number


def test_growth_keeps_what_was_there_and_starts_new_series_from_nothing() -> None:
    table = table_of(BLOCK)
    before = table.rows.tobytes()

    index = table.index(("new", "t"))

    assert index == BLOCK
    assert table.rows[:BLOCK].tobytes() == before
    assert int(table.rows[index]["last_ts"]) == -(2**63)
    assert int(table.rows[index]["seen"]) == 0


def test_only_blocks_that_changed_are_written() -> None:
    table = table_of(3 * BLOCK)
    blocks = table.changed_blocks()
    assert table.changed_blocks() == blocks, "until it is said that they are safe"
    table.saved()
    assert table.changed_blocks() == {}

    table.rows["level"][BLOCK + 7] = -1.0
    table.touched(np.array([BLOCK + 7]))
    changed = table.changed_blocks()

    assert set(changed) == {1}
    assert same(SeriesTable.restore(blocks | changed), table)


def test_a_limit_that_is_new_is_written_down() -> None:
    table = table_of(2 * BLOCK)
    table.saved()

    table.limit(3, -np.inf, np.inf)
    assert table.changed_blocks() == {}, "there was none before"
    table.limit(BLOCK + 3, 0.0, 9.0)
    assert set(table.changed_blocks()) == {1}


def test_the_first_series_are_in_the_full_tier_and_stay_there() -> None:
    table = SeriesTable(3 * FULL.itemsize)
    for number in range(5):
        table.index((f"device-{number}", "t"))
    assert table.rows["full"][:5].tolist() == [0, 1, 2, -1, -1]
    table.full["mean"][:3] = [7.0, 8.0, 9.0]
    table.touched(np.arange(5))

    less = SeriesTable.restore(table.changed_blocks(), full_bytes=0)
    more = SeriesTable.restore(table.changed_blocks(), full_bytes=4 * FULL.itemsize)
    less.index(("device-5", "t"))
    more.index(("device-5", "t"))
    more.index(("device-6", "t"))

    assert less.rows["full"][:6].tolist() == [0, 1, 2, -1, -1, -1]
    assert more.rows["full"][:7].tolist() == [0, 1, 2, -1, -1, 3, -1]
    for restored in (less, more):
        assert restored.full["mean"][:3].tolist() == [7.0, 8.0, 9.0]


def test_names_are_kept_apart() -> None:
    table = SeriesTable()

    assert [table.index(name) for name in [("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"), ("a", "b")]] == [
        0,
        1,
        2,
        3,
        0,
    ]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_missing_block(lost: int) -> None:
    blocks = table_of(3 * BLOCK).changed_blocks()
    del blocks[lost]

    with pytest.raises(SnapshotError, match="missing"):
        SeriesTable.restore(blocks)


def test_a_block_that_was_full_when_a_later_one_was_written_and_is_not() -> None:
    blocks = table_of(BLOCK + 5).changed_blocks()
    blocks[0] = table_of(BLOCK - 1).changed_blocks()[0]

    with pytest.raises(SnapshotError, match="incomplete"):
        SeriesTable.restore(blocks)


def test_a_series_that_stands_in_two_blocks() -> None:
    blocks = table_of(2 * BLOCK).changed_blocks()

    with pytest.raises(SnapshotError, match="twice"):
        SeriesTable.restore({0: blocks[0], 1: blocks[0]})


def test_every_damage_is_found() -> None:
    block = table_of(40).changed_blocks()[0]
    damaged = [block[:end] for end in range(0, len(block), 7)]
    damaged += [block[:at] + bytes([block[at] ^ bit]) + block[at + 1 :] for at in range(len(block)) for bit in (1, 128)]
    damaged += [block + b"\x00", b"\x00" * 64, b"ARROW1"]

    for each in damaged:
        with pytest.raises(SnapshotError):
            SeriesTable.restore({0: each})


def test_a_block_of_another_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    other = pa.schema([pa.field("state", pa.binary(8))])
    block = table_of(1).changed_blocks()[0]
    monkeypatch.setattr("streams.detect.snapshot._BLOCK_SCHEMA", other)

    with pytest.raises(SnapshotError):
        SeriesTable.restore({0: block})


def test_restoring_takes_no_part_in_what_the_old_owner_does_next() -> None:
    table = table_of(3)
    restored = SeriesTable.restore(table.changed_blocks())

    table.rows["level"][0] = 99.0

    assert float(restored.rows["level"][0]) == 0.0


def take(detector: Detector, first: int, count: int) -> None:
    rows = pa.RecordBatch.from_arrays(
        [
            pa.array([1] * count, pa.timestamp("us", "UTC")),
            pa.array([f"device-{number:06d}" for number in range(first, first + count)], pa.string()),
            pa.array(["temperature"] * count, pa.string()),
            pa.array([1.0] * count, pa.float64()),
            pa.array([0] * count, pa.timestamp("us", "UTC")),
        ],
        schema=ROW_SCHEMA,
    )
    detector.take(rows, np.arange(first, first + count, dtype=np.int64))


def test_a_series_takes_a_kilobyte_at_the_most() -> None:
    detector = Detector()
    take(detector, 0, 1)
    a_series = []
    tracemalloc.start()
    try:
        started = tracemalloc.get_traced_memory()[0]
        for first in range(1, 12_001, 50):
            take(detector, first, 50)
            if first > 2000:
                a_series.append((tracemalloc.get_traced_memory()[0] - started) / len(detector.table))
    finally:
        tracemalloc.stop()

    assert len(detector.table) == 12_001
    assert max(a_series) <= 1024, "also right after the table grew"
    assert min(a_series) > SERIES.itemsize, "it was measured at all"
