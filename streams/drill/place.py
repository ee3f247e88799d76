"""A complete region on this machine: servers of its own, a front at an address of its own, Tidegate's processes."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from connectors.embedded import kafka, mqtt, ports, postgres, valkey
from connectors.embedded.kafka import Link
from connectors.embedded.proxy import Mode, Proxies, Proxy
from connectors.embedded.server import Leashed, Server, leashed
from connectors.errors import ConnectorError

READY_WITHIN_S: Final = 120.0
GONE_WITHIN_S: Final = 30.0
GRACE_S: Final = 30.0
POLL_S: Final = 0.05
# As short as the settings allow: workers that were killed are missed for so long.
SESSION_TIMEOUT_S: Final = 6
# What `tidegate up --json` prints when all is ready.
READY: Final = b'{"kafka":'


@dataclass(frozen=True)
class Ground:
    """What all regions of a drill stand on."""

    folder: Path
    proxies: Proxies
    regions_file: Path
    http_port: int  # of every region, at its own address
    mqtt_port: int


class Place:
    """One region."""

    def __init__(self, name: str, address: str, ground: Ground) -> None:
        """Nothing runs yet."""
        self.name = name
        self.address = address
        self._ground = ground
        self.folder = ground.folder / name
        self._gateway_port = ports.free()
        inner = ports.free()
        # Other regions come through a link that can be cut; what is inside the region does not.
        self.link = ground.proxies.to(ports.LOOPBACK, inner)
        self._kafka_link = Link(inner, f"{ports.LOOPBACK}:{self.link.port}")
        self._servers: dict[str, Server] = {}
        self._fronts: list[Proxy] = []
        self._up: Leashed | None = None

    @property
    def kafka(self) -> str:
        """The address of its Kafka, from inside."""
        return self._servers["kafka"].address

    @property
    def database(self) -> str:
        """The address of its database, from inside."""
        return self._servers["database"].address

    @property
    def gateway(self) -> str:
        """The address of its gateway, past its front."""
        return f"http://{ports.LOOPBACK}:{self._gateway_port}"

    def start(self) -> None:
        """Start its servers, then its processes, and open its front.

        Raises:
            ConnectorError: something does not start.

        """
        ways: dict[str, Callable[[Path, Callable[[str], None]], Server]] = {
            "kafka": lambda folder, say: kafka.start(folder, say, self._kafka_link),
            "database": postgres.start,
            "redis": valkey.start,
            "mqtt": mqtt.start,
        }
        with ThreadPoolExecutor() as pool:
            started = {name: pool.submit(way, self.folder / name, _nobody) for name, way in ways.items()}
        self._servers = {name: server.result() for name, server in started.items()}
        self._start_processes()
        if not self._fronts:
            mqtt_port = int(self._servers["mqtt"].address.rpartition(":")[2])
            for port, behind in (
                (self._ground.http_port, self._gateway_port),
                (self._ground.mqtt_port, mqtt_port),
            ):
                self._fronts.append(self._ground.proxies.to(ports.LOOPBACK, behind, (self.address, port)))
        self._turn(Mode.PASS)

    def kill(self) -> float:
        """Let all of it be gone at once, as when a site loses its power: nothing says goodbye, and nobody answers.

        Give the Unix time at which it was.
        """
        leashes = [held for server in self._servers.values() for held in server.held if isinstance(held, Leashed)]
        return _kill([*([self._up] if self._up is not None else []), *leashes], lambda: self._turn(Mode.BLACK_HOLE))

    def kill_database(self) -> None:
        """Let its database be gone at once, and nothing else."""
        _kill(held for held in self._servers["database"].held if isinstance(held, Leashed))

    def start_database(self) -> None:
        """Start it again, with its data and at its address."""
        before = self.database
        self._servers["database"] = postgres.start(self.folder / "database", _nobody)
        if self.database != before:
            raise ConnectorError(f"the database of {self.name} came back at another address")

    def stop(self) -> None:
        """Stop what runs, in order."""
        for front in self._fronts:
            front.turn(Mode.CUT)
        if self._up is not None:
            self._up.stop()
        with ThreadPoolExecutor() as pool:
            for server in self._servers.values():
                pool.submit(server.stop)

    def environment(self) -> dict[str, str]:
        """Give the variables by which commands work on this region."""
        return {
            "TIDEGATE_REGION": self.name,
            "TIDEGATE_REGIONS_FILE": str(self._ground.regions_file),
            "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "TIDEGATE_KAFKA__SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "TIDEGATE_DATABASE__URL": self.database,
            "TIDEGATE_REDIS__URL": self._servers["redis"].address,
            "TIDEGATE_MQTT__URL": self._servers["mqtt"].address,
            "TIDEGATE_HTTP__PORT": str(self._gateway_port),
            "TIDEGATE_HTTP__OPEN": "true",
            "TIDEGATE_LOG_LEVEL": "INFO",
            "TIDEGATE_LOG_FORMAT": "text",
            "TIDEGATE_DATA_DIR": str(self.folder / "data"),
            # MirrorMaker lives for minutes here: half of what it takes to start would be for what it never does again.
            "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
        }

    def _start_processes(self) -> None:
        log = self.folder / "up.log"
        before = log.stat().st_size if log.exists() else 0
        command = [sys.executable, "-m", "streams.cli.main", "up", "--json"]
        self._up = leashed(command, folder=self.folder, log=log, grace_s=GRACE_S, environment=self.environment())
        deadline = time.monotonic() + READY_WITHIN_S
        while READY not in _tail(log, before):
            if not self._up.alive or time.monotonic() > deadline:
                raise ConnectorError(f"the region {self.name} does not start; its log: {log}")
            time.sleep(POLL_S)

    def _turn(self, mode: Mode) -> None:
        for front in self._fronts:
            front.turn(mode)


def start_all(places: Iterable[Place]) -> None:
    """Start regions, all at once. Raises what `Place.start` does."""
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(place.start) for place in places]:
            started.result()


def _nobody(_: str) -> None:
    """Tell nobody which server was taken: it is one on this machine, or the drill does not begin."""


def _tail(log: Path, since: int) -> bytes:
    with log.open("rb") as file:
        file.seek(since)
        return file.read()


def _kill(leashes: Iterable[Leashed], then: Callable[[], None] = lambda: None) -> float:
    """Kill what leashes hold, and all that these have started, at once; give the Unix time at which it was."""
    leashes = list(leashes)
    processes: list[psutil.Process] = []
    for leash in leashes:
        try:
            held = psutil.Process(leash.pid)
            processes += [held, *held.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    # Who they are was found out before: a search would leave some of them time to finish what they were at.
    killed = time.time()
    for process in processes:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    then()
    _, alive = psutil.wait_procs(processes, timeout=GONE_WITHIN_S)
    threads = [threading.Thread(target=leash.stop, daemon=True) for leash in leashes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if alive:
        raise ConnectorError(f"{len(alive)} processes were killed and have not ended")
    return killed
