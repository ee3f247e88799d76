"""A server in a container, as the first choice where a Docker engine answers."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from connectors.embedded import containers
from connectors.embedded.choice import Choice, Say
from connectors.embedded.server import Server, StartError, UnavailableError
from connectors.errors import ConnectorError

NAME = "docker"
UNIX = "unix://"
CONNECT_S = 3.0
USUAL_SOCKET = UNIX + "/var/run/docker.sock"


@dataclass
class Contained:
    """A container as one part of a server; it counts as running until it is stopped here."""

    running: containers.RunningContainer
    alive: bool = True

    def stop(self) -> None:
        """End the container; its volume stays."""
        if self.alive:
            self.alive = False
            self.running.stop()


def choice(kind: str, start: Callable[[Path], tuple[containers.RunningContainer, str]]) -> Choice:
    """Make the choice of a container out of one of `containers`' functions."""

    def in_docker(folder: Path, say: Say) -> Server:
        if not (_socket_listens() and containers.docker_answers()):
            raise UnavailableError("no Docker engine answers")
        folder.mkdir(parents=True, exist_ok=True)
        say(f"starting {kind} in Docker")
        try:
            running, address = start(folder)
        except ConnectorError as error:
            raise StartError(str(error)) from error
        return Server(kind, address, "", f"{kind} in Docker", folder, None, (Contained(running),))

    return Choice(NAME, in_docker)


def _socket_listens() -> bool:
    """Say whether the engine's Unix socket, where it has one, takes connections.

    Asked first because docker's own client, sent to a socket where nobody listens, leaves one of its own unclosed.
    """
    try:
        from testcontainers.core.docker_client import get_docker_host  # noqa: PLC0415  # belongs to an extra
    except ImportError:
        return False
    host = get_docker_host() or USUAL_SOCKET
    if not host.startswith(UNIX):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_S)
        try:
            probe.connect(host.removeprefix(UNIX))
        except OSError:
            return False
    return True
