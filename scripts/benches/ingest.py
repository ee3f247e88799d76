"""`scripts/bench ingest`: from the topic `readings` to committed rows, Tidegate and its peers in one run."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from connectors.kafka.producer import Producer
from scripts.benches import machine, servers, systems
from scripts.benches.command import Json, Runs, Step, progress, publish, say
from scripts.benches.load import Load
from scripts.benches.measure import Measured, MeasureError, measure
from scripts.benches.report import Goal, Report, Result, ratio
from scripts.benches.servers import Servers
from scripts.benches.systems import System

SUMMARY = "From Kafka to committed rows: Tidegate, the limits of the way, Faust, quixstreams, FastStream, bytewax."
EXAMPLES = "Examples: [bold]scripts/bench ingest[/] · [bold]scripts/bench ingest --runs 1 --json[/]"

# Enough for some seconds of the fastest system, few enough for the whole bench to end within twelve minutes.
READINGS = {1: 800, 5: 240}

Figures = Mapping[tuple[str, int], Sequence[Measured]]


def command(
    *,
    runs: Runs = 5,
    only: Annotated[str, typer.Option(help="Measure only systems whose name begins so; for work on one.")] = "",
    as_json: Json = False,
) -> None:
    """Measure all systems, interleaved, with readings of one metric and of five.

    Rows are counted from the commit that completes the first 15 % to the last one, so that starting up is left out.
    """
    loads = [Load(metrics, readings) for metrics, readings in READINGS.items()]
    with servers.running(say=say, commit_times=True) as running:
        ready = systems.ready(running.folder / "peers", say)
        chosen = [system for system in ready.systems if system.name.startswith(only)]
        versions = machine.versions() | dict(running.versions) | dict(ready.versions)
        with progress(len(loads) * (1 + runs * len(chosen))) as step:
            figures = _measure_all(running, chosen, loads, runs, step)
    publish(report(figures, [load.metrics for load in loads], versions), as_json=as_json)


def report(figures: Figures, variants: Sequence[int], versions: Mapping[str, str]) -> Report:
    """Compose what is said of the figures: of every system, measured or not, in every variant."""
    names = [*(system.name for system in systems.OWN), *(peer.name for peer in systems.OTHERS)]
    return Report(
        bench="ingest",
        machine=machine.machine(),
        versions=versions,
        results=[
            Result(name, f"{what}, {_metrics(count)}", unit, tuple(map(read, figures.get((name, count), ()))))
            for count in variants
            for what, unit, read in _WHAT
            for name in names
        ],
        ratios={name: value for count in variants for name, value in _ratios(figures, count).items()},
        goals=[goal for count in variants for goal in _goals(figures, count)],
    )


def _rows_per_s(measured: Measured) -> float:
    return measured.rows_per_s


def _cpu_us(measured: Measured) -> float:
    return measured.cpu_us_per_row


_WHAT: tuple[tuple[str, str, Callable[[Measured], float]], ...] = (
    ("committed rows", "rows/s", _rows_per_s),
    ("client CPU", "µs/row", _cpu_us),
)


def _metrics(count: int) -> str:
    return f"{count} metric{'s' if count > 1 else ''}"


def _median(figures: Figures, name: str, count: int) -> float | None:
    return Result(name, "", "", tuple(map(_rows_per_s, figures.get((name, count), ())))).median


def _ratios(figures: Figures, count: int) -> dict[str, float | None]:
    """Divide what Tidegate does by what each other does; and by the limit that it is compared with."""
    others = [system.name for system in systems.OWN[1:]] + [peer.name for peer in systems.OTHERS]
    found = {
        f"{mine} / {other}, {_metrics(count)}": ratio(_median(figures, mine, count), _median(figures, other, count))
        for mine, compared in (
            (systems.TIDEGATE, others),
            (systems.DETECTION_OFF, others[1:4]),
            # What the machine could do at all, against the fastest peer.
            (systems.CEILING, [systems.FASTSTREAM]),
        )
        for other in compared
    }
    best = _best(figures, count)
    return found | {
        f"{systems.TIDEGATE} / {_BEST}, {_metrics(count)}": ratio(_median(figures, systems.TIDEGATE, count), best)
    }


_BEST = "the better of quixstreams and FastStream"


def _best(figures: Figures, count: int) -> float | None:
    """Take the better peer; without one of the two nobody knows which that is."""
    values = [_median(figures, name, count) for name in (systems.QUIXSTREAMS, systems.FASTSTREAM)]
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def _goals(figures: Figures, count: int) -> list[Goal]:
    ratios = _ratios(figures, count)
    wanted = (
        (systems.TIDEGATE, systems.ROW_LOOP, 1.5),
        (systems.DETECTION_OFF, systems.WIRE_LIMIT, 0.7),
        # Of the two only quixstreams has a sink of its own; FastStream is given a COPY written by hand.
        (systems.TIDEGATE, systems.QUIXSTREAMS, 5.0),
        (systems.TIDEGATE, _BEST, 5.0),
        (systems.TIDEGATE, systems.FAUST, 15.0),
    )
    names = ((f"{mine} / {other}, {_metrics(count)}", goal) for mine, other, goal in wanted)
    return [Goal(name, ratios[name], goal) for name, goal in names]


def _measure_all(
    running: Servers, chosen: Sequence[System], loads: Sequence[Load], runs: int, step: Step
) -> dict[tuple[str, int], list[Measured]]:
    """Measure run after run, in each all systems one after the other: what slows the machine slows all alike."""
    figures: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    for load in loads:
        step(f"{load.messages:,} messages of {_metrics(load.metrics)}")
        running.new_topics()
        _produce(running, load)
        for run in range(1, runs + 1):
            for system in chosen:
                step(f"{system.name}, {_metrics(load.metrics)}, run {run} of {runs}")
                try:
                    measured = _measure(running, system, load)
                except MeasureError as error:
                    say(f"{system.name}, {_metrics(load.metrics)}, run {run}: {error}")
                else:
                    figures[system.name, load.metrics].append(measured)
    return figures


def _measure(running: Servers, system: System, load: Load) -> Measured:
    folder = running.folder / "processes" / _folder(system)
    with running.new_database() as settings:
        return measure(system, load, settings, folder)


def _folder(system: System) -> Path:
    return Path("".join(letter if letter.isalnum() else "-" for letter in system.name))


def _produce(running: Servers, load: Load) -> None:
    producer = Producer(running.settings.kafka, linger_ms=20)
    try:
        producer.publish(load.records())
    finally:
        producer.close()
