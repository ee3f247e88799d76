"""The database: its version and extensions, whether it keeps what it was given, its tables and what works on them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from psycopg import Connection

from connectors.embedded import postgres
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.ledger import Row
from connectors.timescale.migrate import pending
from connectors.timescale.queries import query
from streams.doctor import clocks
from streams.doctor.finding import Finding, no_address
from streams.settings import Settings

OLDEST: Final = 15
# A failure of these is a loss.
DURABLE: Final = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
STRICTER: Final = frozenset({"remote_write", "remote_apply", "local"})


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the database.

    Raises:
        UnreachableError: it does not answer.

    """
    if not settings.database.url.get_secret_value():
        yield no_address("Database", postgres.SETTING)
        return
    with connect(settings.database, autocommit=True) as connection:
        kind = kind_of(connection)
        yield from _versions(connection, kind)
        missing = pending(connection)
        seen = f"missing {', '.join(missing)}" if missing else "up to date"
        yield Finding("Schema", fine=not missing, seen=seen, cure="tidegate db migrate" if missing else "")
        yield from _durability(connection)
        yield clocks.finding("Database", clocks.skew_s(lambda: _now(connection)))
        if not missing:
            yield from _tables(connection, kind)


def _now(connection: "Connection[Row]") -> datetime:
    row = connection.execute("select clock_timestamp()").fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise TypeError("clock_timestamp() gives a time")
    return row[0]


def _versions(connection: "Connection[Row]", kind: DatabaseKind) -> Iterator[Finding]:
    version = connection.info.server_version // 10_000
    rows = connection.execute("select extname, extversion from pg_extension where extname in ('timescaledb', 'vector')")
    extensions = {str(name): str(number) for name, number in rows.fetchall()}
    said = connection.info.parameter_status("server_version")
    timescale = f" with TimescaleDB {extensions['timescaledb']}" if "timescaledb" in extensions else ""
    cure = "" if version >= OLDEST else f"Use PostgreSQL {OLDEST} or newer."
    if not cure and kind is not DatabaseKind.TIMESCALEDB:
        cure = "Native partitions are used: no compression, no kept roll-ups."
        if timescale:
            cure += " The tables were made before the extension was there; it does not change them."
    seen = f"PostgreSQL {said}{timescale}, {kind}"
    yield Finding("Database", fine=version >= OLDEST, seen=seen, cure=cure)
    if "vector" not in extensions:
        yield Finding(
            "Database vector",
            fine=True,
            seen="the extension is not there",
            cure="Similar questions are compared one by one; install pgvector where there are many.",
        )


def _durability(connection: "Connection[Row]") -> Iterator[Finding]:
    rows = connection.execute("select name, setting from pg_settings where name = any(%s)", (list(DURABLE),))
    for name, value in rows.fetchall():
        if value != DURABLE[str(name)] and value not in STRICTER:
            yield Finding(
                f"Database {name}",
                fine=False,
                seen=f"{value}",
                cure=f"Set it to {DURABLE[str(name)]}: a crash may lose rows whose mark says that they are stored.",
            )


def _tables(connection: "Connection[Row]", kind: DatabaseKind) -> Iterator[Finding]:
    if kind is DatabaseKind.TIMESCALEDB:
        failed = connection.execute(query("failed_jobs")).fetchall()
        for procedure, table, status in failed:
            yield Finding(
                f"Database job {procedure} of {table}",
                fine=False,
                seen=f"last run: {status}",
                cure="See timescaledb_information.job_errors: a policy that fails compresses and drops nothing.",
            )
    elif kind is DatabaseKind.POSTGRESQL:
        row = connection.execute("select count(*) from (select from readings_default limit 10000) few").fetchone()
        if row is not None and row[0]:
            yield Finding(
                "Database partitions",
                fine=True,
                seen=f"{row[0]}{' or more' if row[0] == 10000 else ''} readings of days without a partition",  # noqa: PLR2004  # the limit above
                cure="They were of long ago, or far ahead, when they came; they work, but are dropped row by row.",
            )
    waiting = connection.execute(query("oldest_transaction")).fetchone()
    if waiting is not None:
        pid, seconds, application = waiting
        yield Finding(
            "Database sessions",
            fine=False,
            seen=f"{application or 'a session'} (pid {pid}) has been in one transaction for {seconds} s",
            cure=f"What it may still see is not cleaned up. If nobody needs it: select pg_terminate_backend({pid});",
        )
