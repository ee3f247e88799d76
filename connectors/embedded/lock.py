"""One holder at a time for a directory of data.

The lock belongs to the open file, not to a process: a server that inherits it keeps its directory locked until it and
all its children have ended, even when the one who started it is gone.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from connectors.errors import ConnectorError

POLL_S = 0.05


class InUseError(ConnectorError):
    """Another process works in this directory."""

    def __init__(self, directory: Path, holder: str) -> None:
        """Name the directory, and the process id where it is known."""
        whom = f"process {holder}" if holder else "another process"
        super().__init__(
            f"{directory} is in use by {whom}: two cannot share it. Stop that one, or choose another data directory."
        )


def acquire(file: Path, wait_s: float = 0.0) -> int:
    """Lock `file`, waiting up to `wait_s` seconds. Give the descriptor: closing it (everywhere) releases the lock.

    Raises:
        InUseError: somebody else holds it; the process id is the one written in the file.

    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise InUseError(file.parent, holder) from None
            time.sleep(POLL_S)
        else:
            break
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def release(descriptor: int) -> None:
    """Close this process's hold."""
    with contextlib.suppress(OSError):
        os.close(descriptor)
