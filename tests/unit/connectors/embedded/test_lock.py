import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.embedded import lock


def test_a_second_holder_is_refused_and_told_the_process_id(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / "in-use")
    with pytest.raises(lock.InUseError, match=rf"{tmp_path} is in use by process {os.getpid()}"):
        lock.acquire(tmp_path / "in-use")
    lock.release(held)
    lock.release(lock.acquire(tmp_path / "in-use"))


def test_a_process_that_inherits_the_lock_keeps_it_until_it_ends(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / "in-use")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held,)) as heir:
        lock.release(held)
        with pytest.raises(lock.InUseError):
            lock.acquire(tmp_path / "in-use")
        assert heir.stdin is not None
        heir.stdin.close()
        lock.release(lock.acquire(tmp_path / "in-use", wait_s=10.0))
