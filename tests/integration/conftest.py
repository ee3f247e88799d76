"""A database of its own for every test that writes to one."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.timescale import policies
from connectors.timescale.connection import connect, kind_of
from connectors.timescale.migrate import migrate
from connectors.timescale.settings import DatabaseSettings


@pytest.fixture
def empty_database(postgres_server: Server) -> Iterator[DatabaseSettings]:
    """A database with nothing in it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield DatabaseSettings(url=SecretStr(make_conninfo(postgres_server.address, dbname=name)))
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database(empty_database: DatabaseSettings) -> DatabaseSettings:
    """A database with today's schema."""
    with connect(empty_database, autocommit=True) as connection:
        migrate(connection)
        policies.apply(connection, kind_of(connection), empty_database, datetime.now(UTC))
    return empty_database


@pytest.fixture
def fetch(database: DatabaseSettings) -> Callable[..., list[tuple[object, ...]]]:
    """Run a query and give all rows."""

    def run(statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with connect(database, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    return run
