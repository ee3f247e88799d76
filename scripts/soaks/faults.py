"""The faults: what each does to the world, holds, and puts right again. Recovery is what follows, and is measured."""

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

import psycopg

from connectors.embedded.proxy import Mode, Proxy
from connectors.errors import ConnectorError
from scripts.soaks.load import Load
from scripts.soaks.sampler import until
from scripts.soaks.servers import SESSION_TIMEOUT_S, Part, Servers
from scripts.soaks.workers import BRIDGE, GATEWAY, WORKERS, Supervisor

HOLD_S: Final = {True: 2.0, False: 8.0}
LONG_HOLD_S: Final = 60.0
STORM: Final = {True: 300, False: 2000}
SETTLED_WITHIN_S: Final = 60.0
# After its session has ended, the partitions of a worker are somebody else's.
TAKEN_OVER_WITHIN_S: Final = 20.0

FULL: Final = """
create or replace function soak_full() returns trigger language plpgsql as $$
begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
create trigger soak_full before insert on readings for each statement execute function soak_full();
"""
NOT_FULL: Final = "drop trigger if exists soak_full on readings"
TERMINATE: Final = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() and application_name = 'tidegate'"
)
BLOCKED: Final = (
    "select w.query, extract(epoch from now() - w.query_start)::int, b.state, b.wait_event, b.query"
    " from pg_stat_activity w join pg_stat_activity b on b.pid = any(pg_blocking_pids(w.pid))"
)
OWNERS: Final = "select count(*) from sink_offsets where owner like %s"


@dataclass
class World:
    """All that a fault can lay hands on."""

    servers: Servers
    supervisor: Supervisor
    load: Load
    random: Random
    url: str  # straight to the database
    short: bool
    broker_killed: list[float] = field(default_factory=list)  # Unix times at which the MQTT broker was killed
    broken: list[str] = field(default_factory=list)  # what was promised and did not come while a fault lasted

    def hold(self) -> None:
        """Let a fault last."""
        threading.Event().wait(HOLD_S[self.short])

    def worker(self) -> str:
        """Choose one of those that run."""
        until(lambda: bool(self._ready_workers()), SETTLED_WITHIN_S)
        return self.random.choice(self._ready_workers() or list(WORKERS))

    def _ready_workers(self) -> list[str]:
        return [name for name in WORKERS if self.supervisor.processes[name].ready]

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """Run statements in the database, as its owner."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute("set lock_timeout = '30s'")
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []


def _end(world: World, name: str, number: signal.Signals, meant: str) -> None:
    """End a process, and return when it has been started again."""
    process = world.supervisor.processes[name]
    leash = process.leash
    world.supervisor.signal(name, number, meant)
    if not until(lambda: process.leash is not leash, SETTLED_WITHIN_S):
        raise ConnectorError(f"{name} was sent {number.name} and has not ended within {SETTLED_WITHIN_S:.0f} s")


def _worker_killed(world: World) -> None:
    _end(world, world.worker(), signal.SIGKILL, "worker killed")


def _worker_stopped(world: World) -> None:
    _end(world, world.worker(), signal.SIGTERM, "worker stopped, another joins")


def _worker_asleep(world: World) -> None:
    """Wake it when others have what it had; then it is fenced and ends, or begins anew."""
    name = world.worker()
    process = world.supervisor.processes[name]
    leash = process.leash
    pid = world.supervisor.signal(name, signal.SIGSTOP, "")

    def owned() -> bool:
        with psycopg.connect(world.url, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(OWNERS, [f"%:{pid}"]).fetchone() != (0,)

    try:
        threading.Event().wait(SESSION_TIMEOUT_S)
        if not until(lambda: not owned(), TAKEN_OVER_WITHIN_S):
            world.broken.append(
                f"{name} slept and {TAKEN_OVER_WITHIN_S:.0f} s after its session nobody had taken over all of its"
                f" partitions; who waits for whom in the database: {world.execute(BLOCKED) or 'nobody'}"
            )
    finally:
        world.supervisor.signal(name, signal.SIGCONT, "")
    if not until(lambda: process.leash is not leash or owned(), SETTLED_WITHIN_S):
        raise ConnectorError(f"{name} woke up and neither ended nor took anything over: see {process.log}")


def _bridge_killed(world: World) -> None:
    _end(world, BRIDGE, signal.SIGKILL, "bridge killed")


def _gateway_killed(world: World) -> None:
    _end(world, GATEWAY, signal.SIGKILL, "gateway killed")


def _killed(part: Part) -> "Callable[[World], None]":
    def run(world: World) -> None:
        if part == "mqtt":
            world.broker_killed.append(time.time())
        world.servers.kill(part)
        world.servers.start(part)

    return run


def _broker_stopped(world: World) -> None:
    world.servers.stop("mqtt")
    world.servers.start("mqtt")


def _away(part: Part) -> "Callable[[World], None]":
    def run(world: World) -> None:
        world.servers.kill(part)
        world.hold()
        world.servers.start(part)

    return run


def _silent(part: Part) -> "Callable[[World], None]":
    def run(world: World) -> None:
        world.servers.freeze(part)
        try:
            world.hold()
        finally:
            world.servers.thaw(part)

    return run


def _turned(link: "Callable[[World], Proxy]", mode: Mode) -> "Callable[[World], None]":
    def run(world: World) -> None:
        proxy = link(world)
        proxy.turn(mode)
        try:
            world.hold()
        finally:
            proxy.turn(Mode.PASS)

    return run


def _refused_for_long(world: World) -> None:
    world.servers.database.turn(Mode.CUT)
    try:
        threading.Event().wait(LONG_HOLD_S)
    finally:
        world.servers.database.turn(Mode.PASS)


def _reset(world: World) -> None:
    world.servers.database.turn(Mode.CUT)
    world.servers.database.turn(Mode.PASS)


def _full(world: World) -> None:
    world.execute(FULL)
    try:
        world.hold()
    finally:
        world.execute(NOT_FULL)


def _terminated(world: World) -> None:
    world.execute(TERMINATE)


def _poison(world: World) -> None:
    world.load.storm(STORM[world.short])
    if not until(lambda: world.load.storming == 0, SETTLED_WITHIN_S):
        raise ConnectorError("the poison could not be sent")


def _database(world: World) -> Proxy:
    return world.servers.database


def _mqtt(world: World) -> Proxy:
    return world.servers.mqtt


FAULTS: Final[Mapping[str, Callable[[World], None]]] = {
    "worker killed": _worker_killed,
    "worker stopped, another joins": _worker_stopped,
    "worker asleep beyond its session": _worker_asleep,
    "bridge killed": _bridge_killed,
    "gateway killed": _gateway_killed,
    "MQTT broker killed": _killed("mqtt"),
    "MQTT broker stopped and started": _broker_stopped,
    "bridge cut off from the MQTT broker": _turned(_mqtt, Mode.CUT),
    "Kafka killed": _killed("kafka"),
    "Kafka silent": _silent("kafka"),
    "database killed": _killed("database"),
    "database refuses connections": _turned(_database, Mode.CUT),
    "database refuses connections for a minute": _refused_for_long,
    "connections to the database reset": _reset,
    "link to the database slow": _turned(_database, Mode.SLOW),
    "link to the database silent": _turned(_database, Mode.BLACK_HOLE),
    "database full": _full,
    "sessions of the database terminated": _terminated,
    "Redis gone": _away("redis"),
    "poison storm": _poison,
}
