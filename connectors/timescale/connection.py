"""Connections to the database, and what kind of database it is."""

from enum import StrEnum

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from connectors.errors import ConnectorError, UnreachableError
from connectors.timescale.settings import DatabaseSettings

# What a writer may wait for a lock: a stuck transaction of another must show, not stop the world in silence.
SESSION_OPTIONS = "-c timezone=UTC -c lock_timeout=60s -c idle_in_transaction_session_timeout=120s"


class DatabaseKind(StrEnum):
    """What the SQL may use."""

    POSTGRESQL = "postgresql"
    TIMESCALEDB_APACHE = "timescaledb-apache"  # hypertables, but neither columnstore nor policies nor aggregates
    TIMESCALEDB = "timescaledb"


def connect(settings: DatabaseSettings, *, autocommit: bool = False) -> "Connection[tuple[object, ...]]":
    """Open one connection.

    Raises:
        UnreachableError: nothing answers at the address within the connect time-out, or it refuses us.

    """
    url = settings.url.get_secret_value()
    try:
        return psycopg.connect(
            url,
            autocommit=autocommit,
            connect_timeout=max(1, round(settings.connect_timeout_s)),
            options=SESSION_OPTIONS,
            application_name="tidegate",
        )
    except psycopg.ProgrammingError as error:
        raise ConnectorError("TIDEGATE_DATABASE__URL looks like postgresql://user:password@host:5432/name") from error
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else ""
        raise UnreachableError("The database", address(url), "TIDEGATE_DATABASE__URL", reason) from None


def address(url: str) -> str:
    """Say where a URL leads, without its user and password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "an address that cannot be read"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def kind_of(connection: "Connection[tuple[object, ...]]") -> DatabaseKind:
    """Find out what the database can do; the extension has to be created in it already, or be creatable."""
    row = connection.execute("select 1 from pg_extension where extname = 'timescaledb'").fetchone()
    if row is None:
        return DatabaseKind.POSTGRESQL
    licence = connection.execute("select current_setting('timescaledb.license', true)").fetchone()
    return DatabaseKind.TIMESCALEDB_APACHE if licence == ("apache",) else DatabaseKind.TIMESCALEDB
