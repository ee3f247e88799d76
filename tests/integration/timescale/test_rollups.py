"""`readings_1m` and `readings_1h` show what is in `readings`, however late it came."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.settings import DatabaseSettings

pytestmark = pytest.mark.database

Connection = psycopg.Connection[tuple[object, ...]]

VIEWS = ("readings_1m", "readings_1h")
NOW = datetime.now(UTC)
LONG_AGO = datetime(2013, 12, 2, 21, 15, 30, tzinfo=UTC)


@pytest.fixture
def connection(fresh_database: DatabaseSettings) -> Iterator[Connection]:
    with connect(fresh_database, autocommit=True) as opened:
        yield opened


@pytest.fixture
def refresh(connection: Connection) -> Callable[[], None]:
    """Run the jobs that refresh the views, as TimescaleDB does every minute."""

    def run() -> None:
        if kind_of(connection) is DatabaseKind.POSTGRESQL:
            return  # its views are computed when read
        for (job,) in connection.execute(
            "select job_id from timescaledb_information.jobs where proc_name = 'policy_refresh_continuous_aggregate'"
        ).fetchall():
            connection.execute(f"call run_job({job})".encode())

    return run


def insert(connection: Connection, device: str, *instants: datetime, value: float = 1.0) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into readings values (%s, %s, 'temperature', %s, now())",
            [(ts, device, value) for ts in instants],
        )


def devices(connection: Connection, view: str) -> dict[object, object]:
    counted = sql.SQL("select device_id, sum(n)::int from {} group by 1").format(sql.Identifier(view))
    rows: list[tuple[object, object]] = connection.execute(counted).fetchall()  # type: ignore[assignment]  # two columns
    return dict(rows)


def test_buckets_begin_at_whole_minutes_and_hours_of_utc(connection: Connection, refresh: Callable[[], None]) -> None:
    begin = LONG_AGO.replace(minute=0, second=0)
    for second, value in ((0.0, 1.0), (59.999999, 3.0), (60.0, 10.0), (3599.0, -2.0), (3600.0, 7.0)):
        insert(connection, "pump-7", begin + timedelta(seconds=second), value=value)
    for _ in range(2):
        rows = connection.execute("select bucket, n, avg, min, max from readings_1h order by bucket").fetchall()
        assert rows == [(begin, 4, 3.0, -2.0, 10.0), (begin + timedelta(hours=1), 1, 7.0, 7.0, 7.0)]
        rows = connection.execute("select bucket, n, avg, min, max from readings_1m order by bucket").fetchall()
        assert rows[0] == (begin, 2, 2.0, 1.0, 3.0)
        assert [bucket for bucket, *_ in rows] == [begin + timedelta(minutes=minute) for minute in (0, 1, 59, 60)]
        refresh()


def test_one_device_with_huge_values_does_not_take_the_view_from_the_others(
    connection: Connection, refresh: Callable[[], None]
) -> None:
    """The server's avg() sums up squares, and fails when they overflow: in the view and in its refresh, for all."""
    insert(connection, "huge", LONG_AGO, value=1e200)
    insert(connection, "huge", LONG_AGO + timedelta(seconds=1), value=-1.7e308)
    insert(connection, "huge", LONG_AGO + timedelta(seconds=2), value=4.0)
    insert(connection, "pump", LONG_AGO, value=2.0)
    refresh()
    for view in VIEWS:
        rows = sql.SQL("select device_id, n, avg, min, max from {} order by 1").format(sql.Identifier(view))
        assert connection.execute(rows).fetchall() == [("huge", 3, 4.0, -1.7e308, 1e200), ("pump", 1, 2.0, 2.0, 2.0)]


def test_before_the_first_refresh_everything_shows(connection: Connection) -> None:
    insert(connection, "old", LONG_AGO)
    insert(connection, "new", NOW - timedelta(hours=3), NOW)
    for view in VIEWS:
        assert devices(connection, view) == {"old": 1, "new": 2}


def test_after_a_refresh_everything_shows(connection: Connection, refresh: Callable[[], None]) -> None:
    insert(connection, "old", LONG_AGO)
    insert(connection, "new", NOW - timedelta(hours=3), NOW)
    refresh()
    for view in VIEWS:
        assert devices(connection, view) == {"old": 1, "new": 2}


def test_what_is_newer_than_the_last_refresh_shows_at_once_and_what_came_late_after_the_next(
    connection: Connection, refresh: Callable[[], None]
) -> None:
    insert(connection, "old", LONG_AGO)
    insert(connection, "new", NOW - timedelta(hours=3))
    refresh()
    insert(connection, "new", NOW - timedelta(seconds=1), NOW)
    for view in VIEWS:
        assert devices(connection, view)["new"] == 3
    insert(connection, "old", LONG_AGO + timedelta(seconds=5), LONG_AGO - timedelta(days=1000))
    insert(connection, "late", NOW - timedelta(hours=5))
    refresh()
    for view in VIEWS:
        assert devices(connection, view) == {"old": 3, "new": 3, "late": 1}


def test_a_corrected_value_shows_after_the_next_refresh(connection: Connection, refresh: Callable[[], None]) -> None:
    insert(connection, "old", LONG_AGO, value=5.0)
    insert(connection, "new", NOW)
    refresh()
    connection.execute("update readings set value = 4.0 where device_id = 'old'")
    refresh()
    for view in VIEWS:
        averages = sql.SQL("select avg from {} where device_id = 'old'").format(sql.Identifier(view))
        assert connection.execute(averages).fetchall() == [(4.0,)]


def test_refreshing_a_season_of_late_readings_takes_seconds(
    connection: Connection, refresh: Callable[[], None]
) -> None:
    """Ten buckets at a time, which is TimescaleDB's default, it takes 35 times as long."""
    insert(connection, "new", NOW)
    refresh()
    days = 60
    connection.execute(
        "insert into readings select ts, 'late', 'temperature', 1, now() from generate_series("
        " %s::timestamptz, %s::timestamptz - interval '1 s', interval '5 min') ts",
        (LONG_AGO, LONG_AGO + timedelta(days=days)),
    )
    began = time.monotonic()
    refresh()
    assert time.monotonic() - began < 5
    for view in VIEWS:
        assert devices(connection, view)["late"] == days * 288
