from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from connectors.timescale import policies
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.settings import DatabaseSettings

pytestmark = [pytest.mark.database, pytest.mark.within_a_day]

Connection = psycopg.Connection[tuple[object, ...]]
Apply = Callable[..., None]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def connection(fresh_database: DatabaseSettings) -> Iterator[Connection]:
    with connect(fresh_database, autocommit=True) as opened:
        yield opened


@pytest.fixture
def apply(fresh_database: DatabaseSettings, connection: Connection, now: datetime) -> Apply:
    def run(on: Connection | None = None, at: datetime = now, **changes: int) -> None:
        used = on or connection
        policies.apply(used, kind_of(used), fresh_database.model_copy(update=changes), at)

    return run


def insert(connection: Connection, ts: datetime) -> None:
    connection.execute("insert into readings values (%s, 'pump-7', 'temperature', 1, now())", (ts,))


def stored(connection: Connection) -> list[object]:
    return [ts for (ts,) in connection.execute("select ts from readings order by ts").fetchall()]


# -- native partitions -------------------------------------------------------------------------------------------------


def partitions(connection: Connection) -> dict[str, object]:
    rows = connection.execute(
        "select relname, c.oid from pg_inherits join pg_class c on c.oid = inhrelid"
        " where inhparent = 'readings'::regclass and relname <> 'readings_default' order by 1"
    ).fetchall()
    return {str(name): oid for name, oid in rows}


def names(first: datetime, days: int) -> list[str]:
    return [f"readings_{first + timedelta(days=day):%Y%m%d}" for day in range(days)]


@pytest.mark.usefixtures("plain")
def test_partitions_are_made_ahead_and_again_changes_nothing(
    connection: Connection, apply: Apply, now: datetime
) -> None:
    made = partitions(connection)
    assert list(made) == names(now - timedelta(days=7), 15)
    apply()
    assert partitions(connection) == made
    apply(at=now + timedelta(days=2))
    assert list(partitions(connection)) == names(now - timedelta(days=7), 17)
    insert(connection, now + timedelta(days=9))
    assert connection.execute("select count(*) from readings_default").fetchone() == (0,)


@pytest.mark.usefixtures("plain")
def test_a_day_whose_readings_came_before_its_partition(connection: Connection, apply: Apply, now: datetime) -> None:
    then = now + timedelta(days=100)
    insert(connection, then)
    apply(at=then)
    expected = names(then - timedelta(days=7), 15)
    expected.remove(f"readings_{then:%Y%m%d}")
    assert set(expected) <= set(partitions(connection))
    assert f"readings_{then:%Y%m%d}" not in partitions(connection)
    insert(connection, then + timedelta(microseconds=1))  # the day stays in the default partition, and still works
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(connection, then)
    with connection.transaction():  # inside a transaction of the caller's, too
        apply(at=then + timedelta(days=3))
    assert f"readings_{then + timedelta(days=10):%Y%m%d}" in partitions(connection)


@pytest.mark.usefixtures("plain")
def test_retention_drops_partitions_and_rows_that_are_older(
    connection: Connection, apply: Apply, now: datetime
) -> None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    second = timedelta(seconds=1)
    instants = [datetime(2013, 5, 1, tzinfo=UTC), *(midnight + offset for offset in (-3 * 86400 * second - second,))]
    kept = [midnight - timedelta(days=3), midnight, now + timedelta(days=30)]
    for ts in instants + kept:
        insert(connection, ts)
    apply()
    assert stored(connection) == sorted(instants + kept)  # nothing is deleted before it is set
    apply(retention_days=3)
    assert stored(connection) == kept
    made = partitions(connection)
    assert list(made) == names(now - timedelta(days=3), 11)
    apply(retention_days=3)
    assert partitions(connection) == made


@pytest.mark.usefixtures("plain")
def test_many_at_once_make_each_partition_once(
    fresh_database: DatabaseSettings, connection: Connection, apply: Apply, now: datetime, in_thread: ThreadPoolExecutor
) -> None:
    def run(_: int) -> None:
        with connect(fresh_database, autocommit=True) as opened:
            apply(opened, now + timedelta(days=50), retention_days=20)

    list(in_thread.map(run, range(4)))
    assert list(partitions(connection)) == names(now + timedelta(days=43), 15)


@pytest.mark.usefixtures("plain")
def test_making_partitions_waits_for_a_reader_without_stopping_writers(
    fresh_database: DatabaseSettings, connection: Connection, apply: Apply, now: datetime, in_thread: ThreadPoolExecutor
) -> None:
    with connect(fresh_database) as reader, connect(fresh_database, autocommit=True) as making:
        reader.execute("select count(*) from readings")
        applying = in_thread.submit(apply, making, now + timedelta(days=1))
        waits = "select cardinality(pg_blocking_pids(%s)) > 0"
        while connection.execute(waits, (making.info.backend_pid,)).fetchone() != (True,):
            assert not applying.done()
        connection.execute("set lock_timeout = '2s'")
        insert(connection, now)
        reader.rollback()
        applying.result(20)
    assert f"readings_{now + timedelta(days=8):%Y%m%d}" in partitions(connection)


# -- TimescaleDB -------------------------------------------------------------------------------------------------------


def jobs(connection: Connection) -> dict[tuple[object, object], tuple[object, ...]]:
    rows = connection.execute(
        "select proc_name, hypertable_name, job_id, schedule_interval, config from timescaledb_information.jobs"
        " where proc_name like 'policy%%' and job_id >= 1000"
    ).fetchall()
    return {(procedure, table): (job, every, config) for procedure, table, job, every, config in rows}


def chunk_interval(connection: Connection) -> object:
    return connection.execute(
        "select time_interval from timescaledb_information.dimensions where hypertable_name = 'readings'"
    ).fetchone()


COLUMNSTORE = ("policy_compression", "readings")
RETENTION = ("policy_retention", "readings")
REFRESH = "policy_refresh_continuous_aggregate"


@pytest.mark.usefixtures("timescale")
def test_jobs_are_made_once_and_again_changes_nothing(connection: Connection, apply: Apply) -> None:
    made = jobs(connection)
    assert set(made) == {COLUMNSTORE, (REFRESH, "readings_1m"), (REFRESH, "readings_1h")}
    apply()
    assert jobs(connection) == made  # the same jobs: nothing that runs is interrupted by another worker's start
    assert chunk_interval(connection) == (timedelta(days=1),)


@pytest.mark.usefixtures("timescale")
def test_changed_settings_take_effect_and_leave_the_other_jobs(connection: Connection, apply: Apply) -> None:
    before = jobs(connection)
    apply(columnstore_after_days=9)
    after = jobs(connection)
    assert after[COLUMNSTORE][2]["compress_after"] == "9 days"  # type: ignore[index]  # JSON
    assert {name: after[name] for name in after if name != COLUMNSTORE} == {
        name: before[name] for name in before if name != COLUMNSTORE
    }
    apply(columnstore_after_days=9, retention_days=30, chunk_days=0.25)
    with_retention = jobs(connection)
    assert with_retention[RETENTION][2]["drop_after"] == "30 days"  # type: ignore[index]  # JSON
    assert with_retention[REFRESH, "readings_1h"][2]["start_offset"] == "29 days"  # type: ignore[index]  # JSON
    assert with_retention[COLUMNSTORE] == after[COLUMNSTORE]
    assert chunk_interval(connection) == (timedelta(hours=6),)
    apply(columnstore_after_days=9, retention_days=30, chunk_days=0.25)
    assert jobs(connection) == with_retention
    apply()
    assert RETENTION not in jobs(connection)
    assert jobs(connection)[REFRESH, "readings_1h"][2]["start_offset"] is None  # type: ignore[index]  # JSON
    assert chunk_interval(connection) == (timedelta(days=1),)


@pytest.mark.usefixtures("timescale")
@pytest.mark.parametrize("days", [1, 2, 3650])
def test_any_retention_leaves_room_for_the_refresh(connection: Connection, apply: Apply, days: int) -> None:
    apply(retention_days=days)
    for view in ("readings_1m", "readings_1h"):
        connection.execute(f"call run_job({jobs(connection)[REFRESH, view][0]})".encode())


@pytest.mark.usefixtures("timescale")
def test_retention_deletes_readings_and_keeps_what_was_computed_from_them(
    connection: Connection, apply: Apply, now: datetime
) -> None:
    old, new = now - timedelta(days=40), now - timedelta(days=2)
    insert(connection, old)
    insert(connection, new)
    apply(retention_days=30)
    apply()
    for view in ("readings_1m", "readings_1h"):
        connection.execute(f"call run_job({jobs(connection)[REFRESH, view][0]})".encode())
    apply(retention_days=30)
    connection.execute(f"call run_job({jobs(connection)[RETENTION][0]})".encode())
    assert stored(connection) == [new]
    insert(connection, new + timedelta(seconds=1))
    for view in ("readings_1m", "readings_1h"):
        connection.execute(f"call run_job({jobs(connection)[REFRESH, view][0]})".encode())
        counted = sql.SQL("select sum(n) from {}").format(sql.Identifier(view))
        assert connection.execute(counted).fetchone() == (3,)


@pytest.mark.usefixtures("timescale")
def test_many_at_once_make_each_job_once(
    fresh_database: DatabaseSettings, connection: Connection, apply: Apply, in_thread: ThreadPoolExecutor
) -> None:
    def run(_: int) -> None:
        with connect(fresh_database, autocommit=True) as opened:
            apply(opened, retention_days=20)

    list(in_thread.map(run, range(4)))
    assert len(jobs(connection)) == 4
    assert kind_of(connection) is DatabaseKind.TIMESCALEDB
