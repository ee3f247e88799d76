"""Tidegate's own processes around real servers, for one test: topics made anew, a database of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Outgoing, Producer
from connectors.kafka.settings import KafkaSettings
from connectors.timescale.connection import connect
from connectors.timescale.settings import DatabaseSettings
from schemas.codec import encode
from schemas.models import AnalysisRequest, Reading
from schemas.topics import ANALYSIS_REQUESTS, READINGS, TOPICS
from streams.pipeline import prepare
from streams.settings import Settings
from tests.fakes.stand_in import stand_in, stand_in_process

__all__ = ["stand_in", "stand_in_process"]

POLL_S = 0.1
# How much of a log is shown, in characters.
LOGGED = 4_000


def eventually(true: Callable[[], bool], what: str, within_s: float = 120.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(POLL_S)


@dataclass
class Process:
    """One of Tidegate's own processes."""

    popen: subprocess.Popen[bytes]
    ready: Path
    log: Path

    def is_ready(self) -> bool:
        assert self.popen.poll() is None, self.log.read_text(errors="replace")
        return self.ready.exists()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def terminate(self, within_s: float = 60.0) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(within_s)


@dataclass
class Flow:
    """Real servers, and whatever processes a test starts on them."""

    settings: Settings
    folder: Path
    processes: list[Process] = field(default_factory=list)
    # Of requests, which tests send one by one: to begin to write takes a producer most of a second.
    asking: Producer | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers,
            "TIDEGATE_KAFKA__GROUP_PREFIX": self.settings.kafka.group_prefix,
            "TIDEGATE_DATABASE__URL": self.settings.database.url.get_secret_value(),
            "TIDEGATE_REDIS__URL": self.settings.redis.url.get_secret_value(),
            "TIDEGATE_MQTT__URL": self.settings.mqtt.url,
            "TIDEGATE_DATA_DIR": str(self.folder / "data"),
            # Tests share a Redis: what one was answered would answer the next.
            "TIDEGATE_CACHE__ENABLED": "false",
            "TIDEGATE_HTTP__OPEN": "true",
            "TIDEGATE_LOG_LEVEL": "INFO",
            "TIDEGATE_LOG_FORMAT": "text",
            "TIDEGATE_KAFKA__SESSION_TIMEOUT_S": "6",
        }

    def start(self, *arguments: str, wait: bool = True, **more: str) -> Process:
        """Start `tidegate <arguments>`; keyword arguments are further environment variables."""
        name = uuid.uuid4().hex[:8]
        ready, log = self.folder / f"{name}.ready", self.folder / f"{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-m", "streams.cli.main", *arguments, "--ready-file", str(ready)],
                env={**self.environment, **more},
                stdout=output,
                stderr=output,
            )
        process = Process(popen, ready, log)
        self.processes.append(process)
        if wait:
            eventually(process.is_ready, f"tidegate {' '.join(arguments)} is ready")
        return process

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run `tidegate <arguments>` to its end."""
        return subprocess.run(  # noqa: S603  # our own command
            [sys.executable, "-m", "streams.cli.main", *arguments],
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def produce(self, readings: Sequence[Reading]) -> None:
        producer = Producer(self.settings.kafka)
        producer.publish([Outgoing(READINGS.name, reading.device_id.encode(), encode(reading)) for reading in readings])
        producer.close()

    def request(self, asked: AnalysisRequest) -> None:
        self.asking = self.asking or Producer(self.settings.kafka)
        self.asking.publish([Outgoing(ANALYSIS_REQUESTS.name, asked.device_id.encode(), encode(asked))])

    def lag(self) -> dict[str, int]:
        """Say how far both groups are behind."""
        admin, prefix = Admin(self.settings.kafka), self.settings.kafka.group_prefix
        return {
            "ingest": sum(admin.lag(f"{prefix}-ingest", READINGS).values()),
            "analyze": sum(admin.lag(f"{prefix}-analyze", ANALYSIS_REQUESTS).values()),
        }

    def drained(self, lane: str = "ingest") -> bool:
        return self.lag()[lane] == 0

    def fetch(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with connect(self.settings.database, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    def stop(self) -> None:
        if self.asking is not None:
            self.asking.close()
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()

    def told(self) -> str:
        """Give the last of what each process has logged."""
        return "".join(
            f"-- {' '.join(map(str, process.popen.args[3:]))}\n"  # type: ignore[index]  # a list of ours
            f"{process.log.read_text(errors='replace')[-LOGGED:]}\n"
            for process in self.processes
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test have logged: nobody else keeps it."""
    report = yield
    flow = item.funcargs.get("flow") if isinstance(item, pytest.Function) else None
    if report.failed and isinstance(flow, Flow):
        report.sections.append(("what the processes logged", flow.told()))
    return report


def _new_topics(kafka: KafkaSettings) -> None:
    """Delete the topics, so that `prepare` makes them anew."""
    client, admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}), Admin(kafka)
    names = [topic.name for topic in TOPICS]
    there = list(admin.topics(names))
    if there:
        for future in client.delete_topics(there, operation_timeout=30).values():
            future.result()
        eventually(lambda: not admin.topics(names), "the topics are gone")


@pytest.fixture
def flow(
    kafka_server: Server, postgres_server: Server, valkey_server: Server, mqtt_server: Server, tmp_path: Path
) -> Iterator[Flow]:
    name = f"e2e_{uuid.uuid4().hex[:12]}"
    kafka = KafkaSettings(bootstrap_servers=kafka_server.address, group_prefix=name)
    _new_topics(kafka)
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    settings = Settings(
        kafka=kafka,
        database=DatabaseSettings(url=SecretStr(make_conninfo(postgres_server.address, dbname=name))),
        redis={"url": valkey_server.address},
        mqtt={"url": mqtt_server.address, "client_id": name},
    )
    prepare(settings)
    made = Flow(settings, tmp_path)
    yield made
    made.stop()
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def new_topics() -> Callable[[Settings], None]:
    """Delete the topics and make them anew."""

    def make(settings: Settings) -> None:
        _new_topics(settings.kafka)
        Admin(settings.kafka).apply(TOPICS)

    return make


@pytest.fixture
def tidegate() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the command with nothing set but what is given."""

    def run(
        *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603  # our own command
            [sys.executable, "-m", "streams.cli.main", *arguments],
            env=clean_environment(environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def start_tidegate() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command in a session of its own, with nothing set but what is given."""
    with contextlib.ExitStack() as started:

        def start(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
            process = subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-m", "streams.cli.main", *arguments],
                env=clean_environment(environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start


def clean_environment(more: Mapping[str, str] | None) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OPENAI_"))}
    return {**clean, **(more or {})}
