"""How the commands speak: lines for people, one object for machines, a bar for what takes long."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from schemas.errors import TidegateError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
ReadyFile = Annotated[Path | None, typer.Option(hidden=True, help="A file to make when ready.")]

# Progress and remarks; what a command is asked for goes to standard output.
remarks = Console(stderr=True, highlight=False)


class UsageError(TidegateError):
    """The options do not fit together."""


class StoppedError(TidegateError):
    """Somebody asked this command to stop."""


def show(values: Mapping[str, object], *, as_json: bool) -> None:
    """Print the result of a command."""
    if as_json:
        print(json.dumps(values, default=_plain), flush=True)
        return
    width = max(map(len, values), default=0)
    for name, value in values.items():
        print(f"{name:<{width}}  {value}", flush=True)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def say(line: str) -> None:
    """Print a remark."""
    remarks.print(line, markup=False, soft_wrap=True)


class _Rate(ProgressColumn):
    """How many a second, of late."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def bar(what: str, total: int | None, *, hidden: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; gives a function that takes how much more is done, and may be called from any thread."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=remarks,
        disable=hidden,
    )
    with progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)


def mark_ready(file: Path | None) -> None:
    """Tell whoever started this process that it is ready."""
    if file is not None:
        file.write_text(str(os.getpid()), encoding="ascii")


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `StoppedError`, once: a second one while stopping does not hurry it."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise StoppedError

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
