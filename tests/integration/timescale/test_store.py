"""Connections break at any moment: every step is tried again, and nothing is lost or doubled."""

import time
from collections.abc import Callable, Sequence

import pytest
from psycopg import sql
from pydantic import SecretStr

from connectors.errors import ConnectorError, UnreachableError
from connectors.timescale import connection as connections
from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, Marks, PartitionKey
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, OnConflicts, PartitionRows

pytestmark = pytest.mark.database

Part = Callable[..., PartitionRows]
Table = Callable[[], list[tuple[object, ...]]]
Fetch = Callable[..., list[tuple[object, ...]]]
Owned = tuple[PartitionKey, int]

OTHERS = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@pytest.fixture
def kill(fetch: Fetch) -> Callable[[], int]:
    """End all other sessions of the test's database, and give how many there were."""
    statement = f"select pg_terminate_backend(pid, 5000) {OTHERS} and backend_type = 'client backend'"
    return lambda: len(fetch(statement))


def test_a_connection_killed_between_two_steps(
    store: Store, owned: Owned, part: Part, table: Table, nobody: OnConflicts, kill: Callable[[], int]
) -> None:
    for at in range(3):
        assert kill() == 1
        assert store.write([part(owned, [(at, 1, 0)], at=at)], nobody) == Counts(stored=1)
    assert table() == [(0, 1, 0), (1, 1, 0), (2, 1, 0)]


def test_a_connection_killed_inside_the_transaction(
    store: Store, owned: Owned, part: Part, table: Table, claim: Callable[..., Marks], kill: Callable[[], int]
) -> None:
    told: list[Conflict] = []

    def kill_twice(conflicts: Sequence[Conflict]) -> None:
        told.extend(conflicts)
        if len(told) <= 2:
            assert kill() == 1

    counts = store.write([part(owned, [(0, 1, 0), (0, 2, 0), (1, 1, 0)])], kill_twice)
    assert counts == Counts(stored=2, conflicts=1)
    assert [conflict.value for conflict in told] == [2.0] * 3  # told again each time, and the letters' ids are the same
    assert table() == [(0, 1, 0), (1, 1, 0)]
    assert claim(store).next_offset == 3


@pytest.mark.parametrize(("when", "counted"), [("before_commit", True), ("after_commit", False)])
def test_a_connection_that_breaks_during_the_commit(
    wired_store: Store,
    wire: object,
    key: PartitionKey,
    part: Part,
    table: Table,
    claim: Callable[..., Marks],
    fetch: Fetch,
    nobody: OnConflicts,
    when: str,
    counted: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """When only the answer is lost, the repetition finds the mark where it was moved, and stores nothing again."""
    owned = key, claim(wired_store).epoch
    log = [(float(second), 1.0, 0.0) for second in range(5)]
    setattr(wire, when, 1)
    first = wired_store.write([part(owned, log[:3])], nobody)
    setattr(wire, when, 1)
    second = wired_store.write([part(owned, log[3:], at=3)], nobody)
    assert wire.cuts == 2  # type: ignore[attr-defined]  # the class stands in conftest
    assert (first, second) == ((Counts(stored=3), Counts(stored=2)) if counted else (Counts(), Counts()))
    assert table() == log
    assert fetch("select next_offset, stored, duplicates from sink_offsets") == [(5, 5, 0)]


def test_a_claim_and_a_snapshot_survive_a_lost_answer(
    wired_store: Store, wire: object, key: PartitionKey, claim: Callable[..., Marks]
) -> None:
    wire.after_commit = 1  # type: ignore[attr-defined]  # the class stands in conftest
    epoch = claim(wired_store).epoch
    wire.after_commit = 1  # type: ignore[attr-defined]  # the class stands in conftest
    wired_store.save_snapshot(key, epoch, offset=7, detector="d", blocks={0: b"state"})
    assert wire.cuts == 2  # type: ignore[attr-defined]  # the class stands in conftest
    assert wired_store.load_snapshot(key, "d") == {0: b"state"}
    marks = claim(wired_store)
    assert marks.snapshot_offset == 7
    assert marks.epoch > epoch


def test_a_transaction_that_waited_for_kafka_too_long_is_done_again(
    store: Store,
    owned: Owned,
    part: Part,
    table: Table,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "SESSION_OPTIONS", "-c idle_in_transaction_session_timeout=50ms")
    store.close()
    waits = iter([True, False])

    def wait(_: Sequence[Conflict]) -> None:
        if next(waits):
            end = time.monotonic() + 20
            while fetch(f"select 1 {OTHERS} and backend_type = 'client backend'"):
                assert time.monotonic() < end
                time.sleep(0.01)

    assert store.write([part(owned, [(0, 1, 0), (0, 2, 0)])], wait) == Counts(stored=1, conflicts=1)
    assert table() == [(0, 1, 0)]


def test_a_server_that_is_a_standby_for_a_while_is_waited_for(
    database: DatabaseSettings, owned: Owned, part: Part, table: Table, nobody: OnConflicts
) -> None:
    """As after a failover: the address still leads to the one that only reads, until it does not."""
    with connect(database, autocommit=True) as admin:
        name = sql.Identifier(admin.info.dbname)
        promote = sql.SQL("alter database {} reset default_transaction_read_only").format(name)

        class Waiting(Store):
            """Is closed when an attempt has failed: that is when the standby is promoted."""

            def close(self) -> None:
                super().close()
                admin.execute(promote)

        store = Waiting(database, patience_s=20)
        admin.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
        try:
            assert store.write([part(owned, [(0, 1, 0)])], nobody) == Counts(stored=1)
        finally:
            store.close()
    assert table() == [(0, 1, 0)]


def test_what_does_not_pass_is_raised_when_patience_ends(database: DatabaseSettings) -> None:
    nowhere = Store(database.model_copy(update={"url": SecretStr("postgresql://127.0.0.1:1/x")}), patience_s=1)
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        nowhere.devices(["pump-7"])
    assert time.monotonic() - began < 5


def test_what_is_wrong_with_the_statement_is_raised_at_once(database: DatabaseSettings) -> None:
    store = Store(database, patience_s=20)
    with connect(database, autocommit=True) as admin:
        admin.execute("alter table devices rename to moved")
        began = time.monotonic()
        try:
            with pytest.raises(ConnectorError, match="tidegate db migrate"):
                store.devices(["pump-7"])
        finally:
            admin.execute("alter table moved rename to devices")
    assert time.monotonic() - began < 5
    store.close()
