"""Connections to the database, and what kind of database it is."""

from enum import StrEnum

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from connectors.errors import ConnectorError, UnreachableError
from connectors.timescale.settings import DatabaseSettings

# What a writer may wait for a lock: a stuck transaction of another must show, not stop the world in silence.
SESSION_OPTIONS = "-c timezone=UTC -c lock_timeout=60s -c idle_in_transaction_session_timeout=120s"

OUTDATED = "The database has not the tables of today: run `tidegate db migrate`."

_LIKE_THIS = (
    "TIDEGATE_DATABASE__URL cannot be read. It looks like postgresql://user:password@host:5432/name; in the password,"
    " write @ as %40, : as %3A, / as %2F, # as %23 and % as %25."
)


class DatabaseKind(StrEnum):
    """What the SQL may use."""

    POSTGRESQL = "postgresql"
    TIMESCALEDB_APACHE = "timescaledb-apache"  # hypertables, but neither columnstore nor policies nor aggregates
    TIMESCALEDB = "timescaledb"


def connect(settings: DatabaseSettings, *, autocommit: bool = False) -> "Connection[tuple[object, ...]]":
    """Open one connection.

    Raises:
        UnreachableError: nothing answers at the address within the connect time-out, or it refuses us.
        ConnectorError: the address is none.

    """
    url = settings.url.get_secret_value()
    where = address(url)
    try:
        return psycopg.connect(
            url,
            autocommit=autocommit,
            connect_timeout=max(1, round(settings.connect_timeout_s)),
            options=SESSION_OPTIONS,
            application_name="tidegate",
        )
    except psycopg.OperationalError as error:
        reason = next(reversed(str(error).strip().splitlines()), "")
        raise UnreachableError("The database", where, "TIDEGATE_DATABASE__URL", reason) from None


def address(url: str) -> str:
    """Say where a URL leads, without its user and password.

    Raises:
        ConnectorError: it is not the address of a PostgreSQL database.

    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}
    host = parts.get("host", "localhost")
    # What libpq says of an address that it cannot read repeats the address, password and all: so it is not passed on.
    if not parts or "@" in str(host):  # what follows an unescaped @ in a password is taken for the host
        raise ConnectorError(_LIKE_THIS)
    return f"{host}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def kind_of(connection: "Connection[tuple[object, ...]]") -> DatabaseKind:
    """Say what the tables were made as or, where there are none yet, what the database can do.

    Installing the extension later does not turn tables into hypertables.
    """
    if connection.execute("select to_regclass('schema_migrations')").fetchone() != (None,):
        made = connection.execute("select kind from schema_migrations order by number limit 1").fetchone()
        if made is not None:
            return DatabaseKind(str(made[0]))
    row = connection.execute("select 1 from pg_extension where extname = 'timescaledb'").fetchone()
    if row is None:
        return DatabaseKind.POSTGRESQL
    licence = connection.execute("select current_setting('timescaledb.license', true)").fetchone()
    return DatabaseKind.TIMESCALEDB_APACHE if licence == ("apache",) else DatabaseKind.TIMESCALEDB
