"""What the database does by itself, as the settings say: columnar chunks, refreshed aggregates, retention, partitions.

Applied again at each start, so that a changed setting takes effect. With TimescaleDB these are its own jobs; native
partitions are made ahead, and dropped, by whoever calls this.
"""

from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import Connection, sql

from connectors.timescale.connection import DatabaseKind
from connectors.timescale.ledger import Row
from connectors.timescale.migrate import LOCK
from connectors.timescale.settings import DatabaseSettings

# Native partitions kept ready around today; readings of other days go to the default partition.
DAYS_BACK = 7
DAYS_AHEAD = 7


def apply(connection: "Connection[Row]", kind: DatabaseKind, settings: DatabaseSettings, now: datetime) -> None:
    """Make the database's own jobs and partitions what the settings say. Takes a connection in autocommit mode."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        if kind is DatabaseKind.TIMESCALEDB:
            _timescale_jobs(connection, settings)
        if kind is not DatabaseKind.POSTGRESQL:
            connection.execute(
                "select set_chunk_time_interval('readings', make_interval(days => %s))", (settings.chunk_days,)
            )
            if kind is DatabaseKind.TIMESCALEDB_APACHE and settings.retention_days is not None:
                connection.execute(
                    "select drop_chunks('readings', make_interval(days => %s))", (settings.retention_days,)
                )
    if kind is DatabaseKind.POSTGRESQL:
        _native_partitions(connection, now.astimezone(UTC).date(), settings.retention_days)


def _timescale_jobs(connection: "Connection[Row]", settings: DatabaseSettings) -> None:
    connection.execute("call remove_columnstore_policy('readings', if_exists => true)")
    connection.execute(
        "call add_columnstore_policy('readings', after => make_interval(days => %s))",
        (settings.columnstore_after_days,),
    )
    connection.execute("select remove_retention_policy('readings', if_exists => true)")
    if settings.retention_days is not None:
        connection.execute(
            "select add_retention_policy('readings', make_interval(days => %s))", (settings.retention_days,)
        )
    # Late readings may be of any age, so the refresh goes back to the beginning (it only redoes what changed), but
    # never behind the retention: refreshing over deleted readings would delete what was computed from them.
    start = None if settings.retention_days is None else timedelta(days=max(settings.retention_days - 1, 1))
    for view, end, every in (
        ("readings_1m", timedelta(minutes=2), timedelta(minutes=1)),
        ("readings_1h", timedelta(hours=1), timedelta(minutes=5)),
    ):
        connection.execute("select remove_continuous_aggregate_policy(%s, if_exists => true)", (view,))
        connection.execute(
            "select add_continuous_aggregate_policy(%s, start_offset => %s::interval, end_offset => %s::interval,"
            " schedule_interval => %s::interval)",
            (view, start, end, every),
        )


def _native_partitions(connection: "Connection[Row]", today: date, retention_days: int | None) -> None:
    for offset in range(-DAYS_BACK, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        name = sql.Identifier(f"readings_{day:%Y%m%d}")
        # Readings of that day may stand in the default partition already: then they stay there, all of that day.
        try:
            connection.execute(
                sql.SQL("create table if not exists {} partition of readings for values from ({}) to ({})").format(
                    name, sql.Literal(f"{day} 00:00+00"), sql.Literal(f"{day + timedelta(days=1)} 00:00+00")
                )
            )
        except psycopg.errors.CheckViolation:
            continue
    if retention_days is not None:
        _drop_old_partitions(connection, today - timedelta(days=retention_days))


def _drop_old_partitions(connection: "Connection[Row]", before: date) -> None:
    rows = connection.execute(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'readings'::regclass and c.relname ~ '^readings_[0-9]{8}$'"
    ).fetchall()
    for (name,) in rows:
        if str(name) < f"readings_{before:%Y%m%d}":
            connection.execute(sql.SQL("drop table {}").format(sql.Identifier(str(name))))
    connection.execute("delete from readings_default where ts < %s", (before,))
