"""`tidegate worker`: reads topics, stores, watches, and asks."""

import contextlib
import importlib
import subprocess
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer

from streams import measured, reachable, registered
from streams.cli.logs import log_to_stderr
from streams.cli.output import ReadyFile, StoppedError, mark_ready, stop_signals
from streams.settings import LaneName, Settings, load

EXAMPLES = "Examples: [bold]tidegate worker --lane ingest[/] · [bold]tidegate worker --lane all[/]"

POLL_S = 0.2
GRACE_S = 30.0


class Lanes(StrEnum):
    """Which part of the flow a worker runs."""

    INGEST = LaneName.INGEST
    ANALYZE = LaneName.ANALYZE
    MIRROR = LaneName.MIRROR
    ALL = "all"


def command(
    lane: Annotated[Lanes, typer.Option(help="One lane, or all of them, a process each.")] = Lanes.ALL,
    ready_file: ReadyFile = None,
) -> None:
    """Run a worker until it is told to stop: of the fast lane (ingest), the slow lane (analyze), or all.

    A third lane, mirror, stores what other regions have accepted, where TIDEGATE_REGIONS_FILE names any.
    """
    settings = load()
    log_to_stderr(settings)
    reachable.check(settings)
    registered.adopt(settings)
    if lane is Lanes.ALL:
        raise typer.Exit(_all(settings))
    measured.serve(settings, measured.Part(lane))
    # Each lane has heavy libraries that the other does not need.
    composition = importlib.import_module(f"streams.app.{lane}")
    workers = importlib.import_module("streams.worker")
    raise typer.Exit(workers.run(composition.build(settings), settings.log_level, lambda: mark_ready(ready_file)))


def _all(settings: Settings) -> int:
    """Run each lane as a process of its own: none waits for another. When one ends, so do the others."""
    lanes = [lane for lane in LaneName if lane is not LaneName.MIRROR or settings.peers]
    command_line = [sys.executable, "-m", "streams.cli.main", "worker", "--lane"]
    processes = [subprocess.Popen([*command_line, lane]) for lane in lanes]  # noqa: S603  # this program itself
    with contextlib.suppress(StoppedError), stop_signals():
        while all(process.poll() is None for process in processes):
            time.sleep(POLL_S)
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return max((process.wait() for process in processes), default=0)
