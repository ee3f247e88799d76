"""A process that is measured: it ends with the bench, and its CPU time is noted while it runs."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

import numpy as np
import psutil

from connectors.embedded.server import Leashed, leashed

LOG_TAIL_LINES = 3


@dataclass
class Watched:
    """A process with its children. `samples` are pairs of Unix time and CPU seconds, user and system."""

    leash: Leashed
    tree: Sequence[psutil.Process]
    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.leash.alive

    def sample(self) -> None:
        """Note the CPU time that all of it has used until now."""
        used = 0.0
        for root in self.tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (root, *root.children(recursive=True)):
                    times = process.cpu_times()
                    used += times.user + times.system + times.children_user + times.children_system
        self.samples.append((time.time(), used))

    def cpu_s(self, first: float, last: float) -> float:
        """Give the CPU seconds used between two Unix times."""
        at, used = np.array(self.samples).T
        begin, end = np.interp([first, last], at, used)
        return float(end - begin)

    def last_words(self) -> str:
        """Give the end of its log."""
        lines = self.leash.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(lines[-LOG_TAIL_LINES:]) or "its log is empty"


@contextlib.contextmanager
def watched(command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str]) -> Iterator[Watched]:
    """Run a process with its log in `folder`, and kill it at the end: what it committed is what counts."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "process.log"
    log.unlink(missing_ok=True)
    before = {child.pid for child in psutil.Process().children()}
    # The repository is the working directory of everything that is started, so that its packages are found.
    leash = leashed(command, folder=folder, log=log, stop_signal=SIGKILL, grace_s=5.0, environment=environment)
    tree = [child for child in psutil.Process().children() if child.pid not in before]
    process = Watched(leash, tree)
    try:
        process.sample()
        yield process
    finally:
        leash.stop()
