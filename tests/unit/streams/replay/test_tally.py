"""What `--dry-run` counts."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import cast

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from streams.replay.tally import MOST_BARS, Tally
from tests.fakes.records import FakeRecord

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


def at(*seconds: float, partition: int = 0) -> list[Message]:
    return [
        cast("Message", FakeRecord(n, START_MS + int(one * 1000), of_partition=partition))
        for n, one in enumerate(seconds)
    ]


def test_records_are_counted_by_partition_and_minute() -> None:
    tally = Tally()
    tally.add(at(0, 59.9, 60))
    tally.add(at(150, partition=2))
    assert tally.total == 4
    assert dict(tally.partitions) == {0: 3, 2: 1}
    assert tally.bars() == [(START + timedelta(minutes=n), count) for n, count in enumerate([2, 1, 1])]


def test_a_day_is_counted_by_the_hour() -> None:
    tally = Tally()
    tally.add(at(*range(0, 23 * 3600, 600)))
    assert tally.bars() == [(START + timedelta(hours=n), 6) for n in range(23)]


def test_of_nothing_there_are_no_bars() -> None:
    assert Tally().bars() == []
    assert Tally().total == 0


@given(st.lists(st.integers(0, 4_000 * 86_400), min_size=1))
def test_nothing_is_lost_however_long_it_is(seconds: list[int]) -> None:
    tally = Tally()
    tally.add(at(*seconds))
    bars = tally.bars()
    assert sum(count for _, count in bars) == len(seconds)
    assert len(bars) <= MOST_BARS
    widths = {second - first for (first, _), (second, _) in itertools.pairwise(bars)}
    assert len(widths) <= 1
    assert bars[0][0] <= START + timedelta(seconds=min(seconds))
