"""A server in a container, as the first choice where a Docker engine answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from connectors.embedded import containers
from connectors.embedded.choice import Choice, Say
from connectors.embedded.server import Server, StartError, UnavailableError
from connectors.errors import ConnectorError

NAME = "docker"


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
        if not containers.docker_answers():
            raise UnavailableError("no Docker engine answers")
        folder.mkdir(parents=True, exist_ok=True)
        say(f"starting {kind} in Docker")
        try:
            running, address = start(folder)
        except ConnectorError as error:
            raise StartError(str(error)) from error
        return Server(kind, address, "", f"{kind} in Docker", folder, None, (Contained(running),))

    return Choice(NAME, in_docker)
