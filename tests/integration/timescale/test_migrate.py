from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from connectors.timescale import migrate as migrations
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.migrate import Migration, MigrationError, migrate
from connectors.timescale.settings import DatabaseSettings

pytestmark = pytest.mark.database

Connection = psycopg.Connection[tuple[object, ...]]

TABLES = {
    "readings": "ts device_id metric value accepted",
    "devices": "device_id tenant class units tags first_seen last_seen",
    "device_classes": "class limits",
    "insights": "id request_id region tenant device_id metric window_start window_end kind severity summary source"
    " model prompt_hash prompt_tokens completion_tokens cost_usd latency_s created detail",
    "tasks": "id tenant device_id state attempts due_at request insight created updated first_tried started error",
    "sink_offsets": "cluster_id topic topic_id partition epoch owner next_offset snapshot_offset",
    "detector_snapshots": "cluster_id topic topic_id partition block detector state",
    "audit": "id at who action detail",
    "readings_1m": "bucket device_id metric n avg min max",
    "readings_1h": "bucket device_id metric n avg min max",
}


def offers(connection: Connection) -> set[str]:
    rows = connection.execute("select name from pg_available_extensions where name in ('timescaledb', 'vector')")
    return {str(name) for (name,) in rows.fetchall()}


def created(connection: Connection) -> set[str]:
    rows = connection.execute("select extname from pg_extension where extname in ('timescaledb', 'vector')")
    return {str(name) for (name,) in rows.fetchall()}


def test_from_empty_to_what_is_promised_and_then_nothing_more(empty_database: DatabaseSettings) -> None:
    with connect(empty_database, autocommit=True) as connection:
        names = migrate(connection)
        assert names[:2] == ["0001_tables", "0002_readings"]
        assert names == sorted(names)
        assert migrate(connection) == []
        assert created(connection) == offers(connection)
        expected = DatabaseKind.TIMESCALEDB if "timescaledb" in offers(connection) else DatabaseKind.POSTGRESQL
        assert kind_of(connection) == expected
        for table, columns in TABLES.items():
            rows = connection.execute(
                "select column_name from information_schema.columns where table_schema = 'public' and table_name = %s"
                " order by ordinal_position",
                (table,),
            ).fetchall()
            assert [name for (name,) in rows][: len(columns.split())] == columns.split(), table


def test_a_reading_is_unique_by_device_metric_and_instant(database: DatabaseSettings) -> None:
    with connect(database, autocommit=True) as connection:
        insert = "insert into readings values (timestamptz '2026-03-01' + %s * interval '1 s', %s, %s, 1, now())"
        for second, device, metric in ((0, "a", "m"), (1, "a", "m"), (0, "b", "m"), (0, "a", "n")):
            connection.execute(insert, (second, device, metric))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(insert, (0, "a", "m"))


def test_many_at_once_apply_each_step_once(empty_database: DatabaseSettings, in_thread: ThreadPoolExecutor) -> None:
    def run(_: int) -> list[str]:
        with connect(empty_database, autocommit=True) as connection:
            return migrate(connection)

    applied = list(in_thread.map(run, range(4)))
    assert sorted(map(bool, applied)) == [False, False, False, True]


def test_a_step_that_was_changed_after_it_was_applied_is_refused(empty_database: DatabaseSettings) -> None:
    with connect(empty_database, autocommit=True) as connection:
        migrate(connection)
        connection.execute("update schema_migrations set digest = 'another' where number = 2")
        with pytest.raises(MigrationError, match="0002_readings was changed after it was applied"):
            migrate(connection)


def test_a_database_of_a_newer_version_is_refused(
    empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations.migrations
    with connect(empty_database, autocommit=True) as connection:
        with monkeypatch.context() as newer:
            newer.setattr(migrations, "migrations", lambda kind: [*known(kind), Migration(9000, "ahead", "select 1")])
            assert migrate(connection)[-1] == "9000_ahead"
        with pytest.raises(MigrationError, match=r"9000_ahead, which this version .* does not know: a newer one"):
            migrate(connection)


def test_a_step_that_fails_leaves_nothing_and_can_be_done_again(
    empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations.migrations

    def with_step(statements: str) -> Callable[[DatabaseKind], list[Migration]]:
        return lambda kind: [*known(kind), Migration(9000, "halves", statements)]

    with connect(empty_database, autocommit=True) as connection:
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "migrations", with_step("create table half (); select 1 / 0; select 2"))
            with pytest.raises(MigrationError, match="9000_halves failed: division by zero"):
                migrate(connection)
        assert connection.execute("select to_regclass('half')").fetchone() == (None,)
        assert connection.execute("select max(number) < 9000 from schema_migrations").fetchone() == (True,)
        with connect(empty_database, autocommit=True) as other:  # the lock is free
            assert migrate(other) == []
        monkeypatch.setattr(migrations, "migrations", with_step("create table half ()"))
        assert migrate(connection) == ["9000_halves"]


def test_a_connection_that_is_killed_says_so(empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations.migrations
    suicide = Migration(9000, "killed", "select pg_terminate_backend(pg_backend_pid())")
    monkeypatch.setattr(migrations, "migrations", lambda kind: [*known(kind), suicide])
    with (
        connect(empty_database, autocommit=True) as connection,
        pytest.raises(MigrationError, match="9000_killed failed"),
    ):
        migrate(connection)


def test_an_extension_that_is_offered_but_not_preloaded_is_left_alone(empty_database: DatabaseSettings) -> None:
    """Creating it would end the connection. Stands in for such a server: its list of extensions, ahead of the real."""
    with connect(empty_database, autocommit=True) as connection:
        if "timescaledb" in offers(connection):
            pytest.skip("TimescaleDB is preloaded here")
        connection.execute("create schema ahead")
        connection.execute("create view ahead.pg_available_extensions as select name 'timescaledb' as name")
        connection.execute("set search_path = ahead, pg_catalog, public")
        migrate(connection)
        assert kind_of(connection) is DatabaseKind.POSTGRESQL


def test_a_database_stays_what_it_was_made_as(
    empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extension may be installed later, or already be there unused: the tables are still native partitions."""
    with connect(empty_database, autocommit=True) as connection:
        with monkeypatch.context() as before:
            before.setattr(migrations, "_create_extensions", lambda _: None)
            if created(connection):
                pytest.skip("new databases have the extension from the start here")
            migrate(connection)
        assert kind_of(connection) is DatabaseKind.POSTGRESQL
        if "timescaledb" in offers(connection):
            connection.execute("create extension timescaledb")
        assert kind_of(connection) is DatabaseKind.POSTGRESQL
        assert migrate(connection) == []
