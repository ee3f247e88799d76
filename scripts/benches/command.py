"""What the commands of all benches share: their options, their remarks, and how the result is printed."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.benches.report import Report

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
Runs = Annotated[int, typer.Option(min=1, help="How many times each system is measured; the medians are given.")]

# Progress and remarks; the result alone goes to standard output.
remarks = Console(stderr=True, highlight=False)

Step = Callable[[str], None]


def say(line: str) -> None:
    """Print a remark."""
    remarks.print(line, markup=False, soft_wrap=True)


@contextlib.contextmanager
def progress(total: int) -> Iterator[Step]:
    """Show how far the bench is; gives a function that says what is done next, which ends what came before."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=remarks, transient=True) as shown:
        task = shown.add_task("", total=total)
        begun = False

        def step(what: str) -> None:
            nonlocal begun
            shown.update(task, description=what, advance=1 if begun else 0)
            begun = True

        yield step


def publish(report: Report, *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        print(json.dumps(report.to_json()), flush=True)
    else:
        report.show(Console())
