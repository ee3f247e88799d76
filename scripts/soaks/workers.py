"""Tidegate's own processes, watched: one that ends is started again at once, and why it ended is written down."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from connectors.embedded.server import Leashed, leashed
from connectors.errors import ConnectorError
from scripts.soaks.servers import running_in

WORKERS: Final = ("worker-1", "worker-2", "worker-3")
BRIDGE: Final = "bridge"
GATEWAY: Final = "gateway"
COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(WORKERS, ("worker", "--lane", "ingest")),
    BRIDGE: ("bridge",),
    GATEWAY: ("gateway",),
}
POLL_S: Final = 0.1
GRACE_S: Final = 30.0
READY_WITHIN_S: Final = 90.0
# Between two starts of what ends at its start.
PAUSE_S: Final = 0.5
# A session, and the time that a worker takes to end.
STILL_BLAMED_S: Final = 10.0
MIB: Final = 1024 * 1024
_STOPS = re.compile(r"the worker stops: (.*)")


@dataclass(frozen=True, slots=True)
class Exit:
    """A process has ended. `cause` is the fault that did it, or that was going on; empty: there was none."""

    process: str
    code: int
    reason: str
    cause: str
    meant: bool


class Process:
    """One of Tidegate's own processes."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        """Start it."""
        self.name = name
        self.folder = folder
        self.log = folder / "process.log"
        self.ready_file = folder / "ready"
        self.meant = ""  # why it may end
        self._environment = environment
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start it, again."""
        self.ready_file.unlink(missing_ok=True)
        self._read = self.log.stat().st_size if self.log.exists() else 0
        program = [sys.executable, "-m", "streams.cli.main"]
        command = [*program, *COMMANDS[self.name], "--ready-file", str(self.ready_file)]
        self.leash: Leashed = leashed(
            command, folder=self.folder, log=self.log, grace_s=GRACE_S, environment=self._environment
        )
        self._process: psutil.Process | None = None

    @property
    def process(self) -> psutil.Process:
        """What runs."""
        if self._process is None:
            self._process = running_in(self.folder)
        return self._process

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.leash.alive

    @property
    def ready(self) -> bool:
        """Whether it runs and has said that it does its work."""
        return self.alive and self.ready_file.exists()

    def rss_mib(self) -> float:
        """Give the memory that it has in hand; 0 when it does not run."""
        try:
            return float(self.process.memory_info().rss / MIB) if self.alive else 0.0
        except (psutil.Error, ConnectorError):
            return 0.0

    def last_words(self) -> str:
        """Give the reason that it gave in its log since its start, or the last line."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            said = file.read().decode("utf-8", "replace")
        found = _STOPS.findall(said)
        lines = said.strip().splitlines()
        return str(found[-1]) if found else (lines[-1] if lines else "")


class Supervisor:
    """Starts all processes, and again what ends."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Nothing runs before `start`."""
        self.exits: list[Exit] = []
        self.rss_mib: dict[str, float] = {}
        self.processes: dict[str, Process] = {}
        self._fault = ""  # that explains what ends by itself
        self._calm_since: float | None = None
        self._folder = folder
        self._environment = environment
        self._watching = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start all, and wait until they do their work.

        Raises:
            ConnectorError: one does not come to it.

        """
        for name in COMMANDS:
            self.processes[name] = Process(name, self._folder / name, self._environment)
        self._watching.set()
        self._thread.start()
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.ready:
            if time.monotonic() > deadline:
                raise ConnectorError(f"a process does not get ready; the logs are in {self._folder}")
            time.sleep(POLL_S)

    @property
    def ready(self) -> bool:
        """Whether all processes do their work."""
        return all(process.ready for process in self.processes.values())

    def signal(self, name: str, number: signal.Signals, meant: str) -> int:
        """Send a signal to a process, which may end it, and give the process's id.

        Raises:
            ConnectorError: it does not run.

        """
        process = self.processes[name]
        pid = process.process.pid
        process.meant = meant
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            raise ConnectorError(f"{name} has ended by itself: see {process.log}") from None
        return pid

    def blame(self, fault: str) -> None:
        """Say which fault explains what ends by itself from now on."""
        self._fault, self._calm_since = fault, None

    def calm(self) -> None:
        """Say that the fault is over: who was fenced because of it may still be on its way out."""
        self._calm_since = time.monotonic()

    def _cause(self) -> str:
        over = self._calm_since is not None and time.monotonic() - self._calm_since > STILL_BLAMED_S
        return "" if over else self._fault

    def rest(self) -> None:
        """Start nothing again from now on."""
        self._watching.clear()
        if self._thread.is_alive():
            self._thread.join()

    def stop(self) -> dict[str, int]:
        """Stop in order all that still run; give their exit codes."""
        self.rest()
        running = {name: process for name, process in self.processes.items() if process.alive}
        for process in running.values():
            with contextlib.suppress(psutil.Error, ConnectorError):
                process.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while any(process.alive for process in running.values()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for process in self.processes.values():
            process.leash.stop()
        return {name: process.leash.exit_code or 0 for name, process in running.items()}

    def _watch(self) -> None:
        while self._watching.is_set():
            for process in self.processes.values():
                if not process.alive:
                    self._again(process)
                    continue
                rss = process.rss_mib()
                self.rss_mib[process.name] = max(rss, self.rss_mib.get(process.name, 0.0))
            time.sleep(POLL_S)

    def _again(self, process: Process) -> None:
        meant, process.meant = process.meant, ""
        code = process.leash.exit_code or 0
        reason = "" if meant and code in {0, 128 + signal.SIGKILL} else process.last_words()
        self.exits.append(Exit(process.name, code, reason, meant or self._cause(), bool(meant)))
        if not meant:
            time.sleep(PAUSE_S)
        process.start()
