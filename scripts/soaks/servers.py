"""The four servers of a soak: empty ones of its own, which it may kill, with proxies before all of them but Kafka.

Kafka tells its clients its own address, so a proxy in front of it would be passed by.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import psutil
from pydantic import SecretStr

from connectors.embedded import kafka, lock, mqtt, ports, postgres, stack, valkey
from connectors.embedded.choice import Say
from connectors.embedded.proxy import Proxies, Proxy
from connectors.embedded.server import Server
from connectors.errors import ConnectorError
from connectors.timescale.settings import ConflictPolicy
from streams.settings import Settings

Part: TypeAlias = Literal["kafka", "database", "redis", "mqtt"]

WAYS: Final = {"kafka": kafka.start, "database": postgres.start, "redis": valkey.start, "mqtt": mqtt.start}
GONE_WITHIN_S: Final = 60.0
POLL_S: Final = 0.02
SERVERS: Final = "servers"
# As short as the settings allow: a worker that died is missed for so long.
SESSION_TIMEOUT_S: Final = 6


class GivenServersError(ConnectorError):
    """The settings name servers, and a soak kills its servers."""


class Servers:
    """Servers that can be killed and started again where they were."""

    def __init__(self, own: stack.Stack, folder: Path, proxies: Proxies) -> None:
        """Put the proxies up."""
        self.folder = folder
        self._own = own
        self.database = proxies.to(*_place(own.database.address))
        self.redis = proxies.to(*_place(own.redis.address))
        self.mqtt = proxies.to(*_place(own.mqtt.address))

    def server(self, part: Part) -> Server:
        """Give a server as it runs now."""
        server: Server = getattr(self._own, part)
        return server

    def kill(self, part: Part) -> None:
        """Kill a server at once (SIGKILL), and return when it is gone."""
        self._signal(part, signal.SIGKILL)
        deadline = time.monotonic() + GONE_WITHIN_S
        while self.server(part).alive:
            if time.monotonic() > deadline:
                raise ConnectorError(f"{part} was killed and has not ended")
            time.sleep(POLL_S)

    def freeze(self, part: Part) -> None:
        """Let a server stand still: it takes connections, as a network that swallows all would, and says nothing."""
        self._signal(part, signal.SIGSTOP)

    def thaw(self, part: Part) -> None:
        """Let it go on."""
        self._signal(part, signal.SIGCONT)

    def stop(self, part: Part) -> None:
        """Stop a server in order."""
        self.server(part).stop()

    def start(self, part: Part) -> None:
        """Start a server again, with its data and at its address."""
        before = self.server(part)
        server = WAYS[part](self.folder / SERVERS / part, lambda _line: None)
        setattr(self._own, part, server)
        if server.address != before.address:
            raise ConnectorError(f"{part} came back at another address: its port was taken meanwhile")

    def _signal(self, part: Part, number: signal.Signals) -> None:
        folder = self.server(part).data_dir
        if folder is None:
            raise ConnectorError(f"{part} runs in a container, which a soak cannot send a signal")
        os.kill(running_in(folder).pid, number)

    def settings(self, settings: Settings, *, proxied: bool) -> Settings:
        """Fill in the addresses: as Tidegate gets them, through the proxies, or as the soak itself uses them."""

        def address(part: Part, proxy: Proxy) -> str:
            direct = self.server(part).address
            return _through(direct, proxy.port) if proxied else direct

        database = {
            "url": SecretStr(address("database", self.database)),
            "conflict_policy": ConflictPolicy.LAST,
        }
        group = {"bootstrap_servers": self._own.kafka.address, "session_timeout_s": float(SESSION_TIMEOUT_S)}
        return settings.model_copy(
            update={
                "kafka": settings.kafka.model_copy(update=group),
                "database": settings.database.model_copy(update=database),
                "redis": settings.redis.model_copy(update={"url": SecretStr(address("redis", self.redis))}),
                "mqtt": settings.mqtt.model_copy(update={"url": address("mqtt", self.mqtt)}),
            }
        )


@contextlib.contextmanager
def running(settings: Settings, say: Say) -> Iterator[Servers]:
    """Run empty servers of the soak's own in `soak` below the data directory.

    Raises:
        GivenServersError: the settings name a server.
        ConnectorError: one cannot be started, or Kafka is not Apache's, which alone lets several workers in.

    """
    given = (
        settings.kafka.bootstrap_servers,
        settings.database.url.get_secret_value(),
        settings.redis.url.get_secret_value(),
        settings.mqtt.url,
    )
    if any(given):
        raise GivenServersError(
            "A soak kills servers, so it starts its own: unset TIDEGATE_KAFKA__BOOTSTRAP_SERVERS,"
            " TIDEGATE_DATABASE__URL, TIDEGATE_REDIS__URL and TIDEGATE_MQTT__URL."
        )
    folder = settings.data_dir.resolve() / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as started:
        started.callback(lock.release, lock.acquire(folder / "in-use"))
        for old in folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        own = started.enter_context(stack.start(folder / SERVERS, stack.Given(), say))
        if own.kafka.kind != kafka.APACHE:
            raise ConnectorError("A soak needs Apache Kafka (Java 17 and Maven): this broker lets one worker in only")
        yield Servers(own, folder, started.enter_context(Proxies()))


def running_in(folder: Path) -> psutil.Process:
    """Find what runs on a leash of ours in a folder.

    Raises:
        ConnectorError: nothing does.

    """
    deadline = time.monotonic() + GONE_WITHIN_S
    where = str(folder.resolve())
    while time.monotonic() < deadline:
        for leash in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if leash.cwd() == where and leash.status() != psutil.STATUS_ZOMBIE:
                    held = leash.children()
                    if held:
                        return held[0]
        time.sleep(POLL_S)
    raise ConnectorError(f"nothing runs in {folder}")


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or ports.LOOPBACK, parts.port or 0


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    user, at, _there = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{ports.LOOPBACK}:{port}"))
