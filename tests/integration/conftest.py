"""Databases for the tests: one with today's schema that is emptied before each test, or one of a test's own.

And a Valkey of a test's own.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.timescale import policies
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.migrate import migrate
from connectors.timescale.settings import DatabaseSettings
from tests.fakes.own_valkey import OwnValkey


@contextmanager
def _created(server: Server) -> Iterator[DatabaseSettings]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield DatabaseSettings(url=SecretStr(make_conninfo(server.address, dbname=name)))
    with psycopg.connect(server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _migrated(settings: DatabaseSettings) -> DatabaseSettings:
    with connect(settings, autocommit=True) as connection:
        migrate(connection)
        kind = kind_of(connection)
        policies.apply(connection, kind, settings, datetime.now(UTC))
        if kind is DatabaseKind.TIMESCALEDB:
            # Tests run the jobs that they are about; the others would come between at any time.
            connection.execute("select _timescaledb_functions.stop_background_workers()")
    return settings


@pytest.fixture
def empty_database(postgres_server: Server) -> Iterator[DatabaseSettings]:
    """A database of the test's own with nothing in it."""
    with _created(postgres_server) as settings:
        yield settings


@pytest.fixture
def fresh_database(empty_database: DatabaseSettings) -> DatabaseSettings:
    """A database of the test's own with today's schema: for tests that change tables, jobs or settings."""
    return _migrated(empty_database)


@pytest.fixture(scope="session")
def kept_database(postgres_server: Server) -> Iterator[DatabaseSettings]:
    """A database with today's schema for the whole run: making one takes longer than most tests."""
    with _created(postgres_server) as settings:
        yield _migrated(settings)


@pytest.fixture
def database(kept_database: DatabaseSettings) -> DatabaseSettings:
    """A database with today's schema and no rows."""
    with connect(kept_database, autocommit=True) as connection:
        connection.execute(  # an earlier test may have left a transaction open, to be killed in the middle of it
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )
        if kind_of(connection) is not DatabaseKind.POSTGRESQL:
            connection.execute("truncate readings")  # with its chunks
        with connection.transaction():
            for (table,) in connection.execute(
                "select relname from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind in ('r', 'p') and not relispartition and relname <> 'schema_migrations'"
            ).fetchall():
                connection.execute(sql.SQL("delete from {}").format(sql.Identifier(str(table))))
    return kept_database


@pytest.fixture
def fetch(database: DatabaseSettings) -> Callable[..., list[tuple[object, ...]]]:
    """Run a query in `database` and give all rows."""

    def run(statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with connect(database, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    return run


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    own = OwnValkey(tmp_path)
    yield own
    own.server.stop()
