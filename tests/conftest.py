"""Servers for the tests: those named in the environment, else embedded ones, started once a run."""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.embedded import kafka, mqtt, noida, postgres, valkey
from connectors.embedded.choice import Say
from connectors.embedded.server import Server

ROLES = ("Kafka", "database", "Redis", "MQTT")
# The servers of this process, by role, and in the process that gathers all results, those of the others.
used = pytest.StashKey[dict[str, str]]()
theirs = pytest.StashKey[list[dict[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[used] = {}
    config.stash[theirs] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # one of several processes
        output["used"] = session.config.stash[used]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401  # of pytest-xdist, which may be switched off
    # A process that died has nothing to say.
    node.config.stash[theirs].append(getattr(node, "workeroutput", {}).get("used", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("servers that the tests ran on")
    processes = [config.stash[used], *config.stash[theirs]]
    for role in ROLES:
        hows = [found[role] for found in processes if role in found] or ["no test asked for one"]
        for how in hows:
            terminalreporter.write_line(f"{role}: {how}")
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, times in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped {times}: {reason}")


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A folder that an unprivileged account reaches too: pytest's own is private."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _server(config: pytest.Config, role: str, variable: str, start: Callable[[], Server]) -> Iterator[Server]:
    """Give the server that an environment variable names, else an embedded one until the end of the run."""
    address = os.environ.get(variable, "")
    server = Server("given", address, "", f"the address in {variable}") if address else start()
    config.stash[used][role] = server.how
    yield server
    server.stop()


def _quiet(start: Callable[[Path, Say], Server], folder: Path) -> Callable[[], Server]:
    return lambda: start(folder, lambda _: None)


@pytest.fixture(scope="session")
def kafka_server(pytestconfig: pytest.Config, servers_dir: Path) -> Iterator[Server]:
    yield from _server(pytestconfig, "Kafka", "TIDEGATE_TEST_KAFKA", _quiet(kafka.start, servers_dir / "kafka"))


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config, servers_dir: Path) -> Iterator[Server]:
    names = ("TIDEGATE_TEST_TIMESCALE_URL", "TIDEGATE_TEST_DATABASE_URL")
    variable = next((name for name in names if os.environ.get(name)), names[-1])
    for server in _server(pytestconfig, "database", variable, _quiet(postgres.start, servers_dir / "database")):
        if server.kind == "given":
            pytestconfig.stash[used]["database"] = f"{_described(server.address)}, {server.how}"
        yield server


def _described(url: str) -> str:
    with psycopg.connect(url, connect_timeout=5) as connection:
        version = connection.info.parameter_status("server_version")
        row = connection.execute(
            "select default_version from pg_available_extensions where name = 'timescaledb'"
        ).fetchone()
    return f"PostgreSQL {version}" + (f" with TimescaleDB {row[0]}" if row else "")


@pytest.fixture(scope="session")
def valkey_server(pytestconfig: pytest.Config, servers_dir: Path) -> Iterator[Server]:
    yield from _server(pytestconfig, "Redis", "TIDEGATE_TEST_REDIS_URL", _quiet(valkey.start, servers_dir / "redis"))


@pytest.fixture(scope="session")
def mqtt_server(pytestconfig: pytest.Config, servers_dir: Path) -> Iterator[Server]:
    yield from _server(pytestconfig, "MQTT", "TIDEGATE_TEST_MQTT_URL", _quiet(mqtt.start, servers_dir / "mqtt"))


@pytest.fixture
def topic_name() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def _apache_kafka_or_skip(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("apache_kafka") is None:
        return
    server: Server = request.getfixturevalue("kafka_server")
    if server.kind == noida.KIND:
        pytest.skip(f"needs Apache Kafka itself; the broker is {server.how}")


@pytest.fixture(autouse=True)
def _within_a_day(request: pytest.FixtureRequest) -> None:
    """Wait for midnight, UTC, where a test that must not run over it could: budgets and partitions are by the day."""
    marker = request.node.get_closest_marker("within_a_day")
    if marker is None:
        return
    left = 86400 - time.time() % 86400
    if left < marker.kwargs.get("seconds", 30):
        time.sleep(left + 1)


@pytest.fixture
def nab() -> Path:
    """The folder of real, labelled series."""
    folder = os.environ.get("TIDEGATE_TEST_NAB", "")
    if not folder:
        pytest.skip("needs the Numenta series: TIDEGATE_TEST_NAB names no folder")
    return Path(folder)
