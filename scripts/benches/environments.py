"""An environment for each peer: their requirements exclude each other, and the project's.

It is made by Python's venv and pip from the pinned file beside the peer, once, and made again when that changes.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from connectors.embedded.choice import Say
from connectors.errors import ConnectorError

LONGEST_S = 600.0
# A registry that does not answer is given up within seconds.
PATIENCE = ("--timeout", "15", "--retries", "2")
SHOWN = 200


class PeerError(ConnectorError):
    """A peer cannot be installed here; the message says why."""


def made(peer: str, requirements: Path, folder: Path, say: Say) -> Path:
    """Give the Python of a peer's environment in `folder`, which is made where it is missing or outdated.

    Raises:
        PeerError: its packages cannot be installed.

    """
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    stamp = folder / "made-from"
    wanted = hashlib.sha256(b"\0".join([requirements.read_bytes(), sys.version.encode()])).hexdigest()
    with (folder / "making").open("w", encoding="ascii") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
            return python
        stamp.unlink(missing_ok=True)
        say(f"installing {peer} (once)")
        try:
            venv.create(folder, with_pip=True, symlinks=True, clear=False)
        except subprocess.CalledProcessError:
            raise PeerError("Python's venv does not work here") from None
        _install(python, requirements)
        stamp.write_text(wanted, encoding="ascii")
    return python


def version(python: Path, package: str) -> str:
    """Ask an environment for the version of one of its packages."""
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)  # noqa: S603  # our own question
    return done.stdout.strip()


def _install(python: Path, requirements: Path) -> None:
    # What has no wheel for this Python would have to be compiled: that counts as not there.
    options = ["--disable-pip-version-check", "install", "-q", "--only-binary", ":all:", *PATIENCE]
    command = [str(python), "-m", "pip", *options, "-r", str(requirements)]
    environment = {**os.environ, "PIP_DEFAULT_TIMEOUT": "15"}
    try:
        done = subprocess.run(  # noqa: S603  # pip, with a file of ours
            command, capture_output=True, text=True, timeout=LONGEST_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"pip did not end within {LONGEST_S:.0f} s") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = (errors or done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise PeerError(reason.removeprefix("ERROR: ")[:SHOWN])
