"""What the database does by itself, as the settings say: columnar chunks, refreshed aggregates, retention, partitions.

Applied again at each start, so that a changed setting takes effect. With TimescaleDB these are its own jobs; native
partitions are made ahead, and dropped, by whoever calls this.
"""

import contextlib
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import Connection, sql

from connectors.timescale import questions
from connectors.timescale.connection import DatabaseKind
from connectors.timescale.ledger import Row
from connectors.timescale.migrate import alone
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings

# Native partitions kept ready around today; readings of other days go to the default partition.
DAYS_BACK = 7
DAYS_AHEAD = 7


@dataclass(frozen=True, slots=True)
class Refresh:
    """How a continuous aggregate follows the readings.

    It shows what is newer than its newest refreshed bucket at once, and what came late at the next refresh. `batch`
    buckets are done at a time: with TimescaleDB's own default of ten, a month of late readings takes minutes.
    """

    view: str
    end: timedelta
    batch: int
    every: timedelta = timedelta(minutes=1)


REFRESHES = (
    Refresh("readings_1m", end=timedelta(minutes=2), batch=24 * 60),
    Refresh("readings_1h", end=timedelta(hours=1), batch=7 * 24),
)


def apply(connection: "Connection[Row]", kind: DatabaseKind, settings: DatabaseSettings, now: datetime) -> None:
    """Make the database's own jobs and partitions what the settings say. Takes a connection in autocommit mode."""
    with alone(connection):
        questions.index(connection)
        if kind is DatabaseKind.POSTGRESQL:
            _native_partitions(connection, now.astimezone(UTC).date(), settings.retention_days)
            return
        with connection.transaction():
            _chunk_interval(connection, timedelta(seconds=round(settings.chunk_days * 86_400)))
            if kind is DatabaseKind.TIMESCALEDB:
                _timescale_jobs(connection, settings)
            elif settings.retention_days is not None:
                connection.execute(
                    "select drop_chunks('readings', make_interval(days => %s))", (settings.retention_days,)
                )


def _chunk_interval(connection: "Connection[Row]", interval: timedelta) -> None:
    if connection.execute(query("chunk_interval"), {"interval": interval}).fetchone() is None:
        connection.execute("select set_chunk_time_interval('readings', %s)", (interval,))


def _timescale_jobs(connection: "Connection[Row]", settings: DatabaseSettings) -> None:
    """Replace the jobs that are not what they should be, and only those: removing a job ends a run of it."""
    after, retention = settings.columnstore_after_days, settings.retention_days
    if connection.execute(query("columnstore_job"), {"days": after}).fetchone() is None:
        connection.execute("call remove_columnstore_policy('readings', if_exists => true)")
        connection.execute("call add_columnstore_policy('readings', after => make_interval(days => %s))", (after,))
    if retention is None:
        connection.execute("select remove_retention_policy('readings', if_exists => true)")
    elif connection.execute(query("retention_job"), {"days": retention}).fetchone() is None:
        connection.execute("select remove_retention_policy('readings', if_exists => true)")
        connection.execute("select add_retention_policy('readings', make_interval(days => %s))", (retention,))
    # Late readings may be of any age, so the refresh goes back to the beginning (it only redoes what changed), but
    # never behind the retention: refreshing over deleted readings would delete what was computed from them.
    start = None if retention is None else timedelta(days=max(retention - 1, 1))
    for refresh in REFRESHES:
        values = {**asdict(refresh), "start": start}
        if connection.execute(query("refresh_job"), values).fetchone() is None:
            connection.execute("select remove_continuous_aggregate_policy(%s, if_exists => true)", (refresh.view,))
            connection.execute(query("add_refresh_job"), values)


def _native_partitions(connection: "Connection[Row]", today: date, retention_days: int | None) -> None:
    back = DAYS_BACK if retention_days is None else min(DAYS_BACK, retention_days)
    for offset in range(-back, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        # Readings of that day may stand in the default partition already: then they stay there, all of that day.
        with contextlib.suppress(psycopg.errors.CheckViolation), connection.transaction():
            _add_partition(connection, day)
    if retention_days is not None:
        _drop_old_partitions(connection, today - timedelta(days=retention_days))


def _add_partition(connection: "Connection[Row]", day: date) -> None:
    name = f"readings_{day:%Y%m%d}"
    if connection.execute("select to_regclass(%s)", (name,)).fetchone() != (None,):
        return
    # Made apart and attached: unlike CREATE TABLE … PARTITION OF, that lets others read and write meanwhile.
    partition = sql.Identifier(name)
    connection.execute(sql.SQL("create table {} (like readings including all)").format(partition))
    connection.execute(
        sql.SQL("alter table readings attach partition {} for values from ({}) to ({})").format(
            partition, sql.Literal(f"{day} 00:00+00"), sql.Literal(f"{day + timedelta(days=1)} 00:00+00")
        )
    )


def _drop_old_partitions(connection: "Connection[Row]", before: date) -> None:
    rows = connection.execute(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'readings'::regclass and c.relname ~ '^readings_[0-9]{8}$'"
    ).fetchall()
    for (name,) in rows:
        if str(name) < f"readings_{before:%Y%m%d}":
            connection.execute(sql.SQL("drop table {}").format(sql.Identifier(str(name))))
    connection.execute("delete from readings_default where ts < %s", (before,))
