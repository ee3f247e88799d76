"""A measured process: its CPU time between two instants, and what it said last."""

import sys
from pathlib import Path
from typing import cast

import pytest

from connectors.embedded.server import Leashed
from scripts.benches.environments import PeerError, made
from scripts.benches.processes import Watched, watched

WORK = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.3: pass\nprint('worked', flush=True)\n"


def test_cpu_time_between_samples_is_interpolated() -> None:
    process = Watched(cast("Leashed", None), [], [(10.0, 1.0), (12.0, 2.0), (14.0, 6.0)])
    assert process.cpu_s(11.0, 13.0) == pytest.approx(2.5)


def test_a_process_is_watched_and_killed_at_the_end(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK + "time.sleep(60)"]
    with watched(command, folder=tmp_path, environment={}) as process:
        while "worked" not in process.last_words():
            assert process.alive, process.last_words()
        process.sample()
        (pid,) = (root.pid for root in process.tree)
        used = process.samples[-1][1]
    assert used >= 0.3
    assert not process.alive
    assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_what_it_said_last_is_kept_when_it_ends_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such table')"]
    with watched(command, folder=tmp_path, environment={}) as process:
        while process.alive:
            pass
        assert process.last_words().endswith("no such table")


def test_a_peer_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    requirements = tmp_path / "peer.txt"
    requirements.write_text("./there-is-no-such-wheel-1.0-py3-none-any.whl\n")
    with pytest.raises(PeerError, match="there-is-no-such-wheel"):
        made("peer", requirements, tmp_path / "environment", lambda _line: None)
    assert not (tmp_path / "environment" / "made-from").exists()
