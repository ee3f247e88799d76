"""Everything at once on this machine: the servers, the schema, and Tidegate's own processes, watched until the end."""

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from connectors.embedded import mqtt, ports, stack
from connectors.embedded.server import Leashed, Server, leashed
from connectors.errors import ConnectorError, PortTakenError
from connectors.kafka.admin import Admin
from connectors.redis.client import address as redis_address
from connectors.timescale import policies
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.connection import address as database_address
from connectors.timescale.migrate import migrate
from connectors.timescale.settings import DatabaseSettings
from schemas.topics import TOPICS, Topic, mirrors
from streams import reachable
from streams.settings import Settings

Say = Callable[[str], None]

READY_WITHIN_S = 60.0
POLL_S = 0.1
# A process that fails is started again after a pause that doubles; one that keeps failing ends the whole.
FIRST_PAUSE_S = 0.5
FAILURES_IN_A_ROW = 4
# One that ran this long has not failed "in a row".
STEADY_S = 60.0
GRACE_S = 20.0

PROCESSES = {
    "worker-ingest": ("worker", "--lane", "ingest"),
    "worker-analyze": ("worker", "--lane", "analyze"),
    "gateway": ("gateway",),
    "bridge": ("bridge",),
}
# Beside these, where there are other regions.
MIRRORING = {"worker-mirror": ("worker", "--lane", "mirror"), "mirror": ("region", "mirror")}


class ProcessError(ConnectorError):
    """One of Tidegate's own processes keeps failing."""


@dataclass
class Process:
    """One of Tidegate's own processes."""

    name: str
    leash: Leashed
    started: float
    failures: int = 0


class Pipeline:
    """The running whole; made by `running`."""

    def __init__(self, settings: Settings, servers: stack.Stack, database_kind: DatabaseKind, say: Say) -> None:
        """Take the settings with every address filled in."""
        self.settings = settings
        self._servers = servers
        self._database_kind = database_kind
        self._say = say
        self._commands: dict[str, tuple[str, ...]] = PROCESSES | (MIRRORING if settings.peers else {})
        self._processes: dict[str, Process] = {}

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://{self.settings.http.host}:{self.settings.http.port}"

    @property
    def reached(self) -> str:
        """The gateway's address, and whether it asks for a key."""
        how = (
            "open: who uses this machine needs no key"
            if self.settings.http.open
            else "with a key: `tidegate keys create`"
        )
        return f"{self.url} ({how})"

    def describe(self) -> dict[str, str]:
        """Say where everything is. Passwords of servers that were given stay out of it."""
        own = self._servers
        return {
            "kafka": own.kafka.address,
            "database": shown_database(own.database),
            "redis": shown_redis(own.redis),
            "mqtt": own.mqtt.address,  # its settings refuse a password in the address
            "http": self.url,
            "broker_kind": own.kafka.kind,
            "database_kind": str(self._database_kind),
        }

    def start(self) -> None:
        """Start Tidegate's processes and wait until each is ready.

        Raises:
            ProcessError: one of them is not ready in time, or keeps failing.

        """
        self._processes = {name: self._launch(name) for name in self._commands}
        deadline = time.monotonic() + READY_WITHIN_S
        while waiting := [name for name in self._commands if not self._ready_file(name).exists()]:
            self.watch()
            if time.monotonic() > deadline:
                raise ProcessError(f"{waiting[0]} is not ready. Its log: {self._log(waiting[0])}")
            time.sleep(POLL_S)

    def watch(self) -> None:
        """Start what has ended again, after a pause.

        Raises:
            ProcessError: one keeps failing; the message ends with the last line of its log.

        """
        for name, process in self._processes.items():
            if process.leash.alive:
                continue
            lived = time.monotonic() - process.started
            failures = process.failures + 1 if lived < STEADY_S else 1
            reason = _last_line(self._log(name))
            if failures >= FAILURES_IN_A_ROW:
                raise ProcessError(f"{name} failed {failures} times in a row: {reason}")
            self._say(f"{name} ended ({reason}), starting it again")
            time.sleep(FIRST_PAUSE_S * 2 ** (failures - 1))
            self._processes[name] = self._launch(name, failures)

    def stop(self) -> None:
        """Stop Tidegate's processes, all at once: what is on its way stays where it is, and goes on from there."""
        with ThreadPoolExecutor() as stopping:
            for process in self._processes.values():
                stopping.submit(process.leash.stop)

    def _launch(self, name: str, failures: int = 0) -> Process:
        ready = self._ready_file(name)
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "streams.cli.main", *self._commands[name], "--ready-file", str(ready)]
        leash = leashed(
            command, folder=ready.parent, log=self._log(name), grace_s=GRACE_S, environment=self._environment()
        )
        return Process(name, leash, time.monotonic(), failures)

    def _environment(self) -> dict[str, str]:
        settings = self.settings
        return {
            "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "TIDEGATE_DATABASE__URL": settings.database.url.get_secret_value(),
            "TIDEGATE_REDIS__URL": settings.redis.url.get_secret_value(),
            "TIDEGATE_MQTT__URL": settings.mqtt.url,
            "TIDEGATE_MQTT__VERSION": settings.mqtt.version,
            "TIDEGATE_HTTP__PORT": str(settings.http.port),
            "TIDEGATE_HTTP__OPEN": str(settings.http.open).lower(),
            "TIDEGATE_DATA_DIR": str(settings.data_dir.resolve()),
        }

    def _folder(self, name: str) -> Path:
        return self.settings.data_dir.resolve() / name

    def _ready_file(self, name: str) -> Path:
        return self._folder(name) / "ready"

    def _log(self, name: str) -> Path:
        return self._folder(name) / "process.log"


@contextlib.contextmanager
def running(settings: Settings, say: Say) -> Iterator[Pipeline]:
    """Run everything: servers that no setting names are started, topics and tables made, processes started.

    Raises:
        UnreachableError: a server in the settings does not answer.
        PortTakenError: the gateway's port is in use.
        ConnectorError: something cannot be started; what was started has been stopped.

    """
    if settings.http.port and not ports.is_free(settings.http.port):
        raise PortTakenError("The gateway", f"{settings.http.host}:{settings.http.port}", "TIDEGATE_HTTP__PORT")
    reachable.check(settings)
    given = stack.Given(
        kafka=settings.kafka.bootstrap_servers,
        database=settings.database.url.get_secret_value(),
        redis=settings.redis.url.get_secret_value(),
        mqtt=settings.mqtt.url,
    )
    with stack.start(settings.data_dir, given, say) as servers:
        complete = _with_addresses(settings, servers)
        database_kind = prepare(complete)
        pipeline = Pipeline(complete, servers, database_kind, say)
        try:
            pipeline.start()
            yield pipeline
        finally:
            pipeline.stop()


def prepare(settings: Settings) -> DatabaseKind:
    """Make the topics and tables that are missing, and set the database's own jobs; give its kind."""
    Admin(settings.kafka).apply(topics_of(settings))
    return prepare_database(settings.database)


def topics_of(settings: Settings) -> Sequence[Topic]:
    """Give the topics of a region: its own, and those in which the records of others arrive."""
    return *TOPICS, *mirrors(settings.peers)


def prepare_database(settings: DatabaseSettings) -> DatabaseKind:
    """Make the tables that are missing, and set the database's own jobs; give its kind."""
    with connect(settings, autocommit=True) as connection:
        migrate(connection)
        kind = kind_of(connection)
        policies.apply(connection, kind, settings, datetime.now(UTC))
    return kind


def _with_addresses(settings: Settings, servers: stack.Stack) -> Settings:
    # What is started to try things, for this machine alone, asks nobody for a key.
    all_ours = all(one.held for one in (servers.kafka, servers.database, servers.redis, servers.mqtt))
    is_open = settings.http.open or (all_ours and settings.http.on_loopback)
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap_servers": servers.kafka.address}),
            "database": settings.database.model_copy(update={"url": SecretStr(servers.database.address)}),
            "redis": settings.redis.model_copy(update={"url": SecretStr(servers.redis.address)}),
            "mqtt": settings.mqtt.model_copy(update={"url": servers.mqtt.address, **_spoken_by(servers.mqtt)}),
            "http": settings.http.model_copy(update={"port": settings.http.port or ports.free(), "open": is_open}),
        }
    )


def _spoken_by(broker: Server) -> dict[str, str]:
    """Spare every client the two seconds in which amqtt does not answer to MQTT 5."""
    return {"version": "3.1.1"} if broker.kind == mqtt.AMQTT else {}


def shown_database(server: Server) -> str:
    """Give a database's address: whole where the server is ours, else without user and password."""
    return server.address if server.held else f"postgresql://{database_address(server.address)}"


def shown_redis(server: Server) -> str:
    """Give the address of a Redis: whole where the server is ours, else without user and password."""
    return server.address if server.held else redis_address(server.address)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "no log"
    return next(itertools.dropwhile(lambda line: not line.strip(), reversed(lines)), "no word")
