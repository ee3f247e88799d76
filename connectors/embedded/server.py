"""A server that runs for us: what it is, where it answers, and how it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from connectors.embedded import lock
from connectors.errors import ConnectorError

LEASH = Path(__file__).with_name("leash.py")
POLL_S = 0.05
LOG_TAIL_BYTES = 1500
LOG_KEPT_BYTES = 10_000_000
# Beyond the grace that the leash gives the server, how long the leash itself may take.
LEASH_MARGIN_S = 5.0


class UnavailableError(ConnectorError):
    """This way of having the server is not there on this machine."""


class StartError(UnavailableError):
    """The server was started but is of no use; the message ends with the last lines of its log."""


class Held(Protocol):
    """Whatever keeps a server running: a leash, a container, or nothing of ours."""

    @property
    def alive(self) -> bool:
        """Whether it runs now."""

    def stop(self) -> None:
        """End it; a second call does nothing."""


@dataclass
class Server:
    """One server of the stack."""

    kind: str
    # Kafka: host:port. The others: a URL, which may carry a password, so it is kept out of the representation.
    address: str = field(repr=False)
    version: str
    how: str
    data_dir: Path | None = None
    log: Path | None = None
    held: Sequence[Held] = field(default=(), repr=False)

    @property
    def alive(self) -> bool:
        """Whether all of it runs; a server that we did not start counts as running."""
        return all(part.alive for part in self.held)

    def stop(self) -> None:
        """Stop it, what depends on it first. Bounded; a second call does nothing."""
        for part in reversed(self.held):
            part.stop()


class Leashed:
    """A process that ends with this one, however this one ends (see `leash`)."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, grace_s: float) -> None:
        self.log = log
        self._process = process
        self._grace_s = grace_s
        self._guard = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The leash's number; what it holds is its child."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The server's exit code, 128 + number for a signal, None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Let go of the leash: the server is asked to stop, and killed after its grace."""
        with self._guard:
            pipe = self._process.stdin
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            try:
                self._process.wait(self._grace_s + LEASH_MARGIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()  # on Linux the kernel then asks the server to stop
                self._process.wait()


def leashed(  # noqa: PLR0913 - one process has this many sides; all but the command are by name
    command: Sequence[str | Path],
    *,
    folder: Path,
    log: Path,
    stop_signal: signal.Signals = signal.SIGTERM,
    grace_s: float = 10.0,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Leashed:
    """Start `command` on a leash, working in `folder`, its output appended to `log`.

    The folder stays locked until the command and all its children have ended. A server of an earlier run that is still
    stopping there is waited for.

    Raises:
        InUseError: something else goes on working in the folder.

    """
    held_lock = lock.acquire(folder / "in-use", wait_s=grace_s + LEASH_MARGIN_S)
    try:
        _keep_one_old(log)
        options = ["--signal", stop_signal.name.removeprefix("SIG"), "--grace", str(grace_s), "--lock", str(held_lock)]
        options += ["--user", user] if user else []
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own script, and a command that the caller composed
                [sys.executable, "-I", "-S", str(LEASH), *options, "--", *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=None if environment is None else {**os.environ, **environment},
                pass_fds=(held_lock,),
                start_new_session=True,
            )
    finally:
        lock.release(held_lock)
    return Leashed(process, log, grace_s)


def until_ready(what: str, process: Leashed, ready: Callable[[], bool], timeout_s: float) -> None:
    """Wait until `ready` says so; stop the process when it does not come to that.

    Raises:
        StartError: it ended, or was not ready in time; the end of its log is in the message.

    """
    deadline = time.monotonic() + timeout_s
    trouble = ""
    try:
        while not trouble and not ready():
            if not process.alive:
                trouble = f"ended at its start (exit code {process.exit_code})"
            elif time.monotonic() >= deadline:
                trouble = f"was not ready within {timeout_s:.0f} s"
            else:
                time.sleep(POLL_S)
    except BaseException:
        process.stop()
        raise
    if trouble:
        process.stop()
        raise StartError(f"{what} {trouble}; {_tail(process.log)}")


def output_of(command: Sequence[str | Path], timeout_s: float = 10.0) -> str:
    """Run a short command, such as one that prints a version; give its output, empty when there is none.

    Some programs print their version on standard error or exit with a failure, so neither is looked at.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the caller composed the command
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_TAIL_BYTES))
        text = file.read().decode("utf-8", "replace").strip()
    return f"the end of {log}:\n{text}" if text else f"{log} is empty"


def _keep_one_old(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_suffix(".old.log"))
