"""Databases that have the same say the same, whatever order it came in; what differs is found by hour and device."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from psycopg import Connection

from connectors.timescale import checksums
from connectors.timescale.checksums import Difference, Range
from connectors.timescale.connection import connect
from connectors.timescale.ledger import Row
from connectors.timescale.settings import DatabaseSettings
from tests.integration.timescale.conftest import ACCEPTED, START

pytestmark = pytest.mark.database

DAY = Range(START - timedelta(days=1), START + timedelta(days=1), ACCEPTED + timedelta(days=1))
INSERT = "insert into readings (ts, device_id, metric, value, accepted) values (%s, %s, %s, %s, %s)"
ROWS = [
    (START + timedelta(minutes=step), f"d{step % 3}", "m", float(step), ACCEPTED + timedelta(seconds=step))
    for step in range(150)
]


@pytest.fixture
def fill(database: DatabaseSettings) -> Callable[[Sequence[tuple[object, ...]]], "Connection[Row]"]:
    """Have other rows in the table, and give a connection to it."""

    def put(rows: Sequence[tuple[object, ...]]) -> "Connection[Row]":
        connection = connect(database, autocommit=True)
        connection.execute("delete from readings")
        with connection.cursor() as cursor:
            cursor.executemany(INSERT, rows)
        return connection

    return put


def test_the_order_of_arrival_is_no_difference(
    fill: Callable[[Sequence[tuple[object, ...]]], "Connection[Row]"],
) -> None:
    with fill(ROWS) as one:
        sums = checksums.by_hour(one, DAY)
    with fill(ROWS[::-1]) as other:
        assert checksums.by_hour(other, DAY) == sums
    assert [sums[hour][0] for hour in sorted(sums)] == [60, 60, 30]


@pytest.mark.parametrize(
    "change",
    [
        lambda row: (*row[:3], row[3] + 1e-9, row[4]),
        lambda row: (*row[:4], row[4] + timedelta(milliseconds=1)),
        lambda row: (row[0] + timedelta(microseconds=1), *row[1:]),
        lambda row: (row[0], row[1], "n", *row[3:]),
    ],
    ids=["value", "accepted", "ts", "metric"],
)
def test_every_part_of_a_row_counts(
    fill: Callable[[Sequence[tuple[object, ...]]], "Connection[Row]"],
    change: Callable[[tuple[object, ...]], tuple[object, ...]],
) -> None:
    with fill(ROWS) as one:
        sums, devices = checksums.by_hour(one, DAY), checksums.by_device(one, DAY)
    with fill([*ROWS[:-1], change(ROWS[-1])]) as other:
        now = checksums.by_hour(other, DAY)
        assert [hour for hour in sums if now[hour] != sums[hour]] == [START + timedelta(hours=2)]
        found = checksums.by_device(other, DAY)
    assert [device for device in devices if found[device] != devices[device]] == [ROWS[-1][1]]


def test_what_was_accepted_too_late_to_be_everywhere_is_left_out(
    fill: Callable[[Sequence[tuple[object, ...]]], "Connection[Row]"],
) -> None:
    with fill(ROWS) as one:
        until = Range(DAY.since, DAY.until, ACCEPTED + timedelta(seconds=10))
        assert [rows for rows, _ in checksums.by_hour(one, until).values()] == [10]


def test_what_differs_is_told_by_hour_and_device(
    fill: Callable[[Sequence[tuple[object, ...]]], "Connection[Row]"],
) -> None:
    with fill(ROWS) as here:
        assert list(checksums.differences(here, here, DAY)) == []
        here.execute("begin isolation level repeatable read")
        here.execute("select count(*) from readings")
        with fill(ROWS[:-1]) as there:
            found = list(checksums.differences(here, there, DAY))
        here.execute("rollback")
    assert found == [Difference(START + timedelta(hours=2), str(ROWS[-1][1]), 10, 9)]
