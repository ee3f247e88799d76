"""The command line of `scripts/soak`."""

import json
import random
from typing import Annotated

import typer
from rich.console import Console

from schemas.errors import TidegateError
from scripts.benches.command import progress, say
from scripts.soaks.servers import GivenServersError
from scripts.soaks.soak import Options, run
from streams.settings import SettingsError, load

EXAMPLES = (
    "Examples: [bold]scripts/soak --short[/] · [bold]scripts/soak --minutes 20[/] · "
    "[bold]scripts/soak --minutes 4 --seed 7 --json[/]"
)
# The short form, all of it, takes a minute and a half: the rest is for the last rows and the comparison.
SHORT_MINUTES, LONG_MINUTES = 62 / 60, 20.0
STEPS_A_MINUTE = 6

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(epilog=EXAMPLES)
def soak(
    *,
    short: Annotated[bool, typer.Option("--short", help="Each fault once, in at most 90 seconds.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=1, help="For how long faults are injected: 20; with --short 1, too little for a slow machine."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed injects the same faults; else a new one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")] = False,
) -> None:
    """Kill, stop and cut off everything while readings flow; then compare what was accepted with what is stored.

    Servers of the soak's own (Apache Kafka, PostgreSQL, Redis, MQTT), three ingest workers, a bridge and a gateway.
    Exit code 0: every promise held; 1: one did not, or the soak could not run; 2: wrong usage.
    """
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    longest = minutes or (SHORT_MINUTES if short else LONG_MINUTES)
    options = Options(short=short, faults_s=longest * 60, seed=chosen)
    steps = 12 if short else int(longest * STEPS_A_MINUTE)
    try:
        with progress(steps) as step:
            report = run(load(), options, say, step)
    except (SettingsError, GivenServersError) as error:
        say(str(error))
        raise typer.Exit(2) from None
    except TidegateError as error:
        say(str(error))
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(report.to_json()), flush=True)
    else:
        report.show(Console())
    if report.violations:
        raise typer.Exit(1)


def main() -> None:
    """Run the command."""
    app()
