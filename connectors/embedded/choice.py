"""Several ways to have one server: the first that is there on this machine is taken, and why is said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.embedded import lock
from connectors.embedded.server import Server, StartError, UnavailableError
from connectors.errors import ConnectorError

# A server whose starter was killed is given this long to stop before the next one starts on its data.
SETTLE_S = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """One way. `name` also names the folder of its data, so it must not change."""

    name: str
    start: Callable[[Path, Say], Server]


class NothingToStartError(ConnectorError):
    """No way to have this server on this machine."""

    def __init__(self, part: str, setting: str, reasons: Sequence[str]) -> None:
        """Name the setting that leads to a server of the user's, and why each way was not taken."""
        super().__init__(f"no {part} can be started here: {'; '.join(reasons)}. Set {setting} to use a running one.")


def take_first(part: str, setting: str, choices: Sequence[Choice], folder: Path, say: Say) -> Server:
    """Start the first choice that is there; what was taken is in its `how`, and is said.

    A folder stays with the choice that keeps its data: changing over because, say, Docker runs today would hide what
    was stored yesterday. Where that choice is gone, the order counts again, and it is said that its data are not seen.
    A choice that is there but fails to start is passed over too, unless it keeps data.

    Raises:
        NothingToStartError: none is there.
        StartError: the one that keeps the data does not start.

    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "taken"
    before = mark.read_text(encoding="utf-8").strip() if mark.exists() else ""
    if before:
        _settled(folder / before)
    reasons: list[str] = []
    for choice in sorted(choices, key=lambda choice: choice.name != before):
        try:
            server = choice.start(folder / choice.name, say)
        except StartError:
            if choice.name == before:
                raise
            reasons.append(f"{choice.name} did not start (see the log in {folder / choice.name})")
        except UnavailableError as error:
            hidden = f" (and the data it keeps in {folder / choice.name} are not seen)" if choice.name == before else ""
            reasons.append(f"{error}{hidden}")
        else:
            mark.write_text(choice.name, encoding="utf-8")
            if choice.name == before and choice is not choices[0]:
                reasons.append("it keeps this folder's data")
            server.how = f"{server.how} ({'; '.join(reasons)})" if reasons else server.how
            say(f"{part}: {server.how}")
            return server
    raise NothingToStartError(part, setting, reasons)


def _settled(folder: Path) -> None:
    """Wait for an earlier run's server, so that its data are whole and its port is free again."""
    if folder.is_dir():
        lock.release(lock.acquire(folder / "in-use", wait_s=SETTLE_S))
