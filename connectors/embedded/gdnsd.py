"""gdnsd as a process here, where it is installed: it checks its own configuration, and answers."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from connectors.embedded.mqtt import SYSTEM_PLACES
from connectors.embedded.server import Leashed, StartError, UnavailableError, leashed

CHECKED_WITHIN_S = 20.0


def command() -> str:
    """Give the program.

    Raises:
        UnavailableError: it is not installed.

    """
    found = shutil.which("gdnsd", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_PLACES]))
    if found is None:
        raise UnavailableError("gdnsd is not installed")
    return found


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write its folder anew."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def check(folder: Path) -> None:
    """Let it check what is in its folder.

    Raises:
        UnavailableError: it is not installed.
        StartError: it does not take that; the message has its words.

    """
    done = subprocess.run(  # noqa: S603  # gdnsd, on a folder of the caller's
        [command(), "-c", folder.resolve(), "checkconf"],
        capture_output=True,
        text=True,
        timeout=CHECKED_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise StartError(f"gdnsd does not take {folder}: {(done.stdout + done.stderr).strip()}")


def start(folder: Path) -> Leashed:
    """Start it on its folder, after it has checked that.

    Raises:
        UnavailableError: it is not installed.
        StartError: it does not take that.

    """
    check(folder)
    return leashed([command(), "-c", folder.resolve(), "start"], folder=folder, log=folder / "gdnsd.log")
