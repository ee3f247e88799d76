"""Hold one server on a leash: when the holder's end of the pipe closes, the server stops.

Run as a script by a bare interpreter (`python -I -S leash.py …`), with standard input a pipe whose other end the parent
holds. The parent closing it and the parent being killed look the same from here: end of file. The server runs in a
session of its own, so Ctrl-C in the terminal reaches only the parent, which then stops things in order. Output goes
where the parent pointed it (a log file).

Exits with the server's exit code, 128 + signal number when a signal ended it, and 127 when it could not be started.
"""

import argparse
import contextlib
import ctypes
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

COULD_NOT_START = 127
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line: options, then `--`, then the server's own command."""
    parser = argparse.ArgumentParser(prog="leash", description="Run a server that stops when standard input closes.")
    parser.add_argument("--signal", default="TERM", help="what asks the server to stop (default: TERM)")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between asking and killing")
    parser.add_argument("--user", help="account to run the server as (needs root)")
    parser.add_argument(
        "--lock", type=int, default=-1, help="file descriptor that the server inherits, and so keeps locked"
    )
    parser.add_argument("command", nargs="+")
    return parser.parse_args(arguments)


def dying_with(holder: int, stop_signal: int) -> Callable[[], None] | None:
    """Make what the child runs before exec: on Linux, the kernel asks it to stop if the leash itself is killed."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != holder:
            os._exit(COULD_NOT_START)

    return arrange


def start(options: argparse.Namespace, stop_signal: int) -> subprocess.Popen[bytes]:
    """Start the server in its own session, as another user where one is named."""
    account = pwd.getpwnam(options.user) if options.user else None
    return subprocess.Popen(  # noqa: S603 - the command is the caller's
        options.command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=() if options.lock < 0 else (options.lock,),
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=dying_with(os.getpid(), stop_signal),  # noqa: PLW1509 - this process has one thread
    )


def hold(server: subprocess.Popen[bytes], wakeups: int, stop_signal: int, grace_s: float) -> int:
    """Wait until the server ends, or end it when standard input closes. Give its exit code."""
    watched = [sys.stdin.fileno(), wakeups]
    kill_at: float | None = None
    while server.poll() is None:
        left = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        readable, _, _ = select.select(watched, [], [], left)
        numbers = os.read(wakeups, 4096) if wakeups in readable else b""
        let_go = watched[0] in readable and watched[0] != wakeups and not os.read(watched[0], 4096)
        if let_go:
            watched = [wakeups]
        if kill_at is None and (let_go or set(numbers) - {signal.SIGCHLD}):
            kill_at = time.monotonic() + grace_s
            server.send_signal(stop_signal)
        if kill_at is not None and time.monotonic() >= kill_at:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)  # whatever the server left behind in its group
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def main(arguments: list[str]) -> int:
    """Run one server until it ends or the pipe closes."""
    options = parse(arguments)
    stop_signal = signal.Signals[f"SIG{options.signal}"]
    wakeups, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        server = start(options, stop_signal)
    except (OSError, subprocess.SubprocessError, KeyError) as error:
        print(f"{options.command[0]} could not be started: {error}", file=sys.stderr)  # noqa: T201 - into the log
        return COULD_NOT_START
    return hold(server, wakeups, stop_signal, options.grace)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
