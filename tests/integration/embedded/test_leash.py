"""A server never outlives the one who started it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from connectors.embedded.server import Leashed, StartError, leashed, until_ready

# What the fixtures of conftest.py are.
AllGone = Callable[[list[psutil.Process]], bool]

# Says that it is ready, then waits; MODE decides what it does when asked to stop.
SERVER = """
import os, signal, subprocess, sys, time
mode = sys.argv[1]
def asked(number, frame):
    if mode == "stubborn":
        return
    open("stopped-by", "w").write(signal.Signals(number).name)
    sys.exit(7)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, asked)
if mode == "with-child":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if mode == "fails":
    sys.exit("no disk")
with open("pid", "w") as file:
    file.write(str(os.getpid()))
os.replace("pid", "ready")
while True:
    time.sleep(0.01)
"""

PARENT = """
import sys
from pathlib import Path
from connectors.embedded.server import leashed, until_ready
folder = Path(sys.argv[1])
held = leashed([sys.executable, "server.py", sys.argv[2]], folder=folder, log=folder / "log", grace_s=5.0)
until_ready("it", held, (folder / "ready").exists, 10.0)
print("ready", flush=True)
sys.stdin.read()
"""


def start(folder: Path, mode: str, stop_signal: signal.Signals = signal.SIGTERM, grace_s: float = 5.0) -> Leashed:
    (folder / "server.py").write_text(SERVER)
    command = [sys.executable, "server.py", mode]
    held = leashed(command, folder=folder, log=folder / "log", stop_signal=stop_signal, grace_s=grace_s)
    until_ready("it", held, (folder / "ready").exists, 10.0)
    return held


def server_of(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "ready").read_text()))


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_stop_asks_with_the_signal_named_and_gives_the_servers_exit_code(
    tmp_path: Path, stop_signal: signal.Signals
) -> None:
    held = start(tmp_path, "polite", stop_signal)
    server = server_of(tmp_path)
    assert held.alive
    held.stop()
    held.stop()
    assert not held.alive
    assert held.exit_code == 7
    assert (tmp_path / "stopped-by").read_text() == stop_signal.name
    assert not server.is_running()


def test_a_server_that_will_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    held = start(tmp_path, "stubborn", grace_s=0.3)
    server = server_of(tmp_path)
    held.stop()
    assert held.exit_code == 128 + signal.SIGKILL
    assert not server.is_running()


def test_what_the_server_started_ends_with_it(tmp_path: Path, all_gone: AllGone) -> None:
    held = start(tmp_path, "with-child")
    (child,) = server_of(tmp_path).children()
    held.stop()
    assert all_gone([child])


def test_it_runs_in_a_session_of_its_own_so_the_terminals_signals_do_not_reach_it(tmp_path: Path) -> None:
    held = start(tmp_path, "polite")
    server = server_of(tmp_path)
    leash = server.parent()
    assert leash is not None
    assert len({os.getsid(0), os.getsid(leash.pid), os.getsid(server.pid)}) == 3
    held.stop()


@pytest.mark.parametrize("mode", ["polite", "stubborn"])
def test_killing_the_parent_ends_leash_and_server(tmp_path: Path, mode: str, all_gone: AllGone) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    script = PARENT.replace("grace_s=5.0", "grace_s=0.5")
    with subprocess.Popen(  # noqa: S603 - this interpreter, with a script of this file
        [sys.executable, "-c", script, str(tmp_path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == 2
        parent.kill()
        assert all_gone(family)


def test_ending_the_leash_itself_stops_the_server(tmp_path: Path, all_gone: AllGone) -> None:
    held = start(tmp_path, "polite")
    leash = server_of(tmp_path).parent()
    assert leash is not None
    leash.terminate()
    assert all_gone([leash])
    held.stop()
    assert held.exit_code == 7
    assert (tmp_path / "stopped-by").read_text() == "SIGTERM"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_killing_the_leash_itself_stops_the_server(tmp_path: Path, all_gone: AllGone) -> None:
    held = start(tmp_path, "polite")
    server = server_of(tmp_path)
    leash = server.parent()
    assert leash is not None
    leash.kill()
    assert all_gone([server])
    held.stop()
    assert (tmp_path / "stopped-by").read_text() == "SIGTERM"


def test_a_server_that_dies_at_its_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"(?s)exit code 1.*no disk"):
        start(tmp_path, "fails")


def test_a_server_that_never_gets_ready_is_given_up_and_stopped(tmp_path: Path) -> None:
    held = start(tmp_path, "polite")
    with pytest.raises(StartError, match="not ready within"):
        until_ready("it", held, lambda: False, 0.2)
    assert not held.alive


def test_a_command_that_is_not_there_is_a_start_error(tmp_path: Path) -> None:
    held = leashed(["/does/not/exist"], folder=tmp_path, log=tmp_path / "log")
    with pytest.raises(StartError, match=r"(?s)exit code 127.*/does/not/exist"):
        until_ready("it", held, lambda: False, 10.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_can_run_the_server_as_somebody_else(tmp_path: Path) -> None:
    log = tmp_path / "log"
    held = leashed(["/bin/sh", "-c", "id -un; id -Gn"], folder=tmp_path, log=log, user="nobody")
    until_ready("it", held, lambda: len(log.read_text().split()) == 2, 10.0)
    held.stop()
    assert set(log.read_text().split()) <= {"nobody", "nogroup"}
