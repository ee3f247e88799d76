"""Brings the database's schema up to date: each `.sql` file once, in the order of the numbers, under one lock.

A number may have one file for each kind of database; the most special one that fits is taken. A file that has been
applied is never edited: a change is a new number.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import Connection

from connectors.errors import ConnectorError
from connectors.timescale.connection import DatabaseKind, kind_of

LOCK = 0x7469_6465  # any number, as long as all who migrate use the same

_FILE = re.compile(r"(\d{4})_(\w+)(?:\.(\w+))?\.sql")
_PREFERENCE = {
    DatabaseKind.TIMESCALEDB: ("community", "timescaledb", "postgresql", ""),
    DatabaseKind.TIMESCALEDB_APACHE: ("timescaledb", "postgresql", ""),
    DatabaseKind.POSTGRESQL: ("postgresql", ""),
}


class MigrationError(ConnectorError):
    """The database's schema and the migrations do not fit together."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """What the file said when it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(kind: DatabaseKind) -> list[Migration]:
    """List the steps for this kind of database, in order."""
    variants: dict[int, dict[str, Migration]] = {}
    for file in files("connectors.timescale").joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match is None:
            continue
        number, name, variant = int(match[1]), match[2], match[3] or ""
        variants.setdefault(number, {})[variant] = Migration(number, name, file.read_text("utf-8"))
    chosen = []
    for number in sorted(variants):
        found = [variants[number][variant] for variant in _PREFERENCE[kind] if variant in variants[number]]
        if not found:
            raise MigrationError(f"migration {number:04d} has no file for {kind}")
        chosen.append(found[0])
    return chosen


def migrate(connection: "Connection[tuple[object, ...]]") -> list[str]:
    """Apply what is missing, and give the names of it. Safe to run from many processes at once.

    Takes a connection in autocommit mode. Creates the extensions that the server has to offer.

    Raises:
        MigrationError: a migration that was applied has been changed since or is unknown to this version, or one fails.

    """
    with alone(connection):
        return _migrate(connection)


@contextlib.contextmanager
def alone(connection: "Connection[tuple[object, ...]]") -> Iterator[None]:
    """Let one connection at a time change the schema; the others wait. Takes a connection in autocommit mode."""
    connection.execute("select pg_advisory_lock(%s)", (LOCK,))
    try:
        yield
    finally:
        if not connection.closed:  # with the connection the lock goes by itself
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def _migrate(connection: "Connection[tuple[object, ...]]") -> list[str]:
    connection.execute(
        "create table if not exists schema_migrations (number integer primary key, name text not null,"
        " kind text not null, digest text not null, applied timestamptz not null default now())"
    )
    applied = connection.execute("select number, name, digest from schema_migrations order by number").fetchall()
    if not applied:
        _create_extensions(connection)
    kind = kind_of(connection)
    steps = migrations(kind)
    known = {step.number: step for step in steps}
    for number, name, digest in applied:
        step = known.get(int(str(number)))
        if step is None:
            raise MigrationError(
                f"the database has migration {number:04d}_{name}, which this version of Tidegate does not know: a newer"
                " one was here. Run that version, or restore the database to what it was before"
            )
        if step.digest != digest:
            raise MigrationError(
                f"migration {number:04d}_{name} was changed after it was applied; a change of the schema is a new file"
            )
    done = {number for number, _, _ in applied}
    names = []
    for step in steps:
        if step.number in done:
            continue
        try:
            with connection.transaction():
                connection.execute(step.sql)
                connection.execute(
                    "insert into schema_migrations (number, name, kind, digest) values (%s, %s, %s, %s)",
                    (step.number, step.name, kind, step.digest),
                )
        except psycopg.Error as error:
            raise MigrationError(f"migration {step.number:04d}_{step.name} failed: {error}") from error
        names.append(f"{step.number:04d}_{step.name}")
    return names


def _create_extensions(connection: "Connection[tuple[object, ...]]") -> None:
    # Without being preloaded, creating timescaledb ends the connection; its loader's settings show that it is.
    offered = connection.execute(
        "select name from pg_available_extensions where name = 'vector'"
        " or name = 'timescaledb' and current_setting('timescaledb.disable_load', true) is not null"
    )
    for (name,) in offered.fetchall():
        # Not ours to create, perhaps: go on without, and let `tidegate doctor` say what is missing.
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"create extension if not exists {name}")


def pending(connection: "Connection[tuple[object, ...]]") -> list[str]:
    """List the migrations that are not applied yet."""
    row = connection.execute("select to_regclass('schema_migrations') is not null").fetchone()
    done: set[object] = set()
    kind = kind_of(connection)
    if row == (True,):
        applied = connection.execute("select number, kind from schema_migrations order by number").fetchall()
        done = {number for number, _ in applied}
        kind = DatabaseKind(str(applied[0][1])) if applied else kind
    return [f"{step.number:04d}_{step.name}" for step in migrations(kind) if step.number not in done]
