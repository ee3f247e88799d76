"""The four servers that Tidegate stands on: those given in the settings, and embedded ones for the rest."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.embedded import kafka, lock, mqtt, postgres, valkey
from connectors.embedded.choice import Say
from connectors.embedded.server import Server
from connectors.errors import ConnectorError

Start = Callable[[Path, Say], Server]


class DataDirError(ConnectorError):
    """The data directory cannot be used."""

    def __init__(self, directory: Path, error: OSError) -> None:
        """Say what the system said."""
        super().__init__(f"{directory} cannot be used: {error.strerror}. Choose another data directory.")


@dataclass(frozen=True)
class Given:
    """The addresses in the settings; where one is empty, a server is started."""

    kafka: str = ""
    database: str = ""
    redis: str = ""
    mqtt: str = ""


class Stack:
    """Four servers that run, and stop together."""

    def __init__(self, servers: dict[str, Server], held: int) -> None:
        self.kafka = servers["kafka"]
        self.database = servers["database"]
        self.redis = servers["redis"]
        self.mqtt = servers["mqtt"]
        self._held = held

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop what was started, from where records come in to where they end. A second call does nothing.

        Raises:
            ConnectorError: the Docker engine did not stop a container; the other servers have been stopped.

        """
        if self._held < 0:
            return
        held, self._held = self._held, -1
        with contextlib.ExitStack() as last_first:
            last_first.callback(lock.release, held)
            for server in (self.database, self.redis, self.kafka, self.mqtt):
                last_first.callback(server.stop)


def start(data_dir: Path, given: Given, say: Say) -> Stack:
    """Start all that is not given, at the same time. `say` takes one line at a time, from any thread.

    Raises:
        InUseError: another stack works in `data_dir`.
        DataDirError: it cannot be written to.
        ConnectorError: a part has no way to start; the others have been stopped.

    """
    directory = data_dir.resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        held = lock.acquire(directory / "in-use")
    except OSError as error:
        raise DataDirError(directory, error) from error
    try:
        return Stack(_start_all(directory, given, say), held)
    except BaseException:
        lock.release(held)
        raise


def _start_all(directory: Path, given: Given, say: Say) -> dict[str, Server]:
    ways: dict[str, tuple[str, str, Start]] = {
        "kafka": (given.kafka, kafka.SETTING, kafka.start),
        "database": (given.database, postgres.SETTING, postgres.start),
        "redis": (given.redis, valkey.SETTING, valkey.start),
        "mqtt": (given.mqtt, mqtt.SETTING, mqtt.start),
    }
    starting = _Starting()
    threads = []
    servers = {}
    for name, (address, setting, way) in ways.items():
        if address:
            servers[name] = Server("given", address, "", f"the address in {setting}")
        else:
            threads.append(starting.part(name, way, directory / name, say))
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        starting.give_up()  # a part that is still on its way stops as soon as it has started
        raise
    if starting.errors:
        starting.give_up()
        raise starting.errors[0]
    return servers | starting.servers


class _Starting:
    """Parts on their way up, one thread each."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self.errors: list[Exception] = []
        self._given_up = False
        self._guard = threading.Lock()

    def part(self, name: str, way: Start, folder: Path, say: Say) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(name, way, folder, say), name=f"start-{name}", daemon=True)
        thread.start()
        return thread

    def give_up(self) -> None:
        """Stop what has started, and what starts from now on."""
        with self._guard:
            self._given_up = True
            servers = list(self.servers.values())
        for server in servers:
            server.stop()

    def _run(self, name: str, way: Start, folder: Path, say: Say) -> None:
        try:
            server = way(folder, say)
        except OSError as error:
            self.errors.append(DataDirError(folder, error))
        except Exception as error:  # noqa: BLE001 - raised again where the stack was asked for
            self.errors.append(error)
        else:
            with self._guard:
                keep = not self._given_up
                if keep:
                    self.servers[name] = server
            if not keep:
                server.stop()
