"""`tidegate run`: the whole way once through, from devices over MQTT to insights, on this machine."""

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from connectors.embedded import lock
from connectors.timescale.ledger import Counts
from schemas.errors import TidegateError
from schemas.models import Reading
from schemas.topics import DEAD_LETTERS
from streams.cli.logs import log_to_stderr
from streams.cli.output import Json, StoppedError, UsageError, bar, remarks, say, show, stop_signals
from streams.cli.publish import Via, names, sender
from streams.cli.simulate import stream
from streams.feed.csv_file import CsvFile
from streams.feed.simulator import Fleet
from streams.observe import Observer
from streams.pipeline import Pipeline, running
from streams.settings import load

EXAMPLES = (
    "Examples: [bold]tidegate run[/] (simulated devices, until Ctrl-C) · "
    "[bold]tidegate run --once --csv machine.csv[/] (a file, to the end)"
)

# The contract: a CSV file has one metric of this name, unless it has several columns.
METRIC = "value"
# Simulated devices start with enough of a past for the detectors to know them.
HISTORY = 600
POLL_S = 0.5
# Everything must have been finished for this long before the input counts as drained.
QUIET_S = 1.0
# A drain that does not move for this long never will.
STUCK_AFTER_S = 120.0
INSIGHTS_SHOWN = 20


class DrainError(TidegateError):
    """What was sent did not come through."""


@dataclass(frozen=True, slots=True)
class Start:
    """How things stood before."""

    totals: Counts
    received: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Input:
    """What is fed in."""

    what: str
    devices: list[str]
    readings: Iterable[Reading]
    count: int | None  # None: until it is stopped


def command(
    *,
    csv: Annotated[Path | None, typer.Option(help="A CSV file; its name is the device.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="How many simulated devices, without --csv.")] = 10,
    once: Annotated[bool, typer.Option("--once", help="End when the input is drained.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where data is kept between runs; else .tidegate.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the data directory first.")] = False,
    as_json: Json = False,
) -> None:
    """Start everything, feed it a CSV file or simulated devices through MQTT, and show what comes out."""
    settings = load()
    if data_dir is not None:
        settings = settings.model_copy(update={"data_dir": data_dir})
    log_to_stderr(settings)
    source = _from_csv(csv) if csv is not None else _simulated(devices, once=once)
    if fresh:
        _empty(settings.data_dir)
    with contextlib.suppress(StoppedError), stop_signals(), running(settings, say) as pipeline:
        say(f"dashboard and API: {pipeline.reached}")
        with Observer(pipeline.settings) as observer:
            _feed(pipeline, observer, source, once=once, as_json=as_json)


def _from_csv(path: Path) -> Input:
    table = CsvFile.open(path)
    metrics = names(table, METRIC if len(table.columns) == 1 else None)
    return Input(path.name, [path.stem], table.readings(path.stem, metrics), table.rows)


def _simulated(devices: int, *, once: bool) -> Input:
    fleet = Fleet(devices)
    readings = stream(fleet, history=HISTORY, live_s=0 if once else None)
    return Input(f"{devices} simulated devices", fleet.names(), readings, devices * HISTORY if once else None)


def _empty(data_dir: Path) -> None:
    """Empty a data directory; refuse what does not look like one."""
    if not data_dir.exists():
        return
    if any(data_dir.iterdir()) and not (data_dir / "in-use").exists():
        raise UsageError(f"{data_dir} does not look like a data directory of Tidegate: empty it yourself.")
    lock.release(lock.acquire(data_dir.resolve() / "in-use"))
    shutil.rmtree(data_dir)


def _feed(pipeline: Pipeline, observer: Observer, source: Input, *, once: bool, as_json: bool) -> None:
    start = Start(observer.totals(), observer.received(), observer.written(DEAD_LETTERS))
    sent = 0
    try:
        with (
            bar(source.what, source.count, hidden=as_json) as advance,
            sender(pipeline.settings, Via.MQTT, "", advance) as way_in,
        ):
            for reading in _watched(source.readings, pipeline):
                way_in.send(reading)
                sent += 1
            way_in.flush()
        _drain(pipeline, observer, start.received + sent, hidden=as_json)
        _summary(observer, source, start, as_json=as_json)
        while not once:
            pipeline.watch()
            time.sleep(POLL_S)
    except StoppedError:
        _summary(observer, source, start, as_json=as_json)
        raise


def _watched(readings: Iterable[Reading], pipeline: Pipeline) -> Iterator[Reading]:
    """Look after the processes while readings go by."""
    looked = time.monotonic()
    for reading in readings:
        if time.monotonic() - looked > POLL_S:
            pipeline.watch()
            looked = time.monotonic()
        yield reading


def _drain(pipeline: Pipeline, observer: Observer, expected: int, *, hidden: bool) -> None:
    """Wait until all that was sent has come in, both groups are done with it, and nothing waits for a model.

    Raises:
        DrainError: nothing has moved for a long time.

    """
    seen: tuple[int, ...] = ()
    moved = time.monotonic()
    with remarks.status("waiting for the last insight", spinner="line") if not hidden else contextlib.nullcontext():
        while True:
            pipeline.watch()
            # In this order: what is postponed comes back through the topic, so it is seen in one place or the other.
            received, postponed, lag = observer.received(), observer.postponed(), observer.lag()
            now = (received, postponed, *lag.values())
            if now != seen:
                seen, moved = now, time.monotonic()
            quiet = time.monotonic() - moved
            if received >= expected and not postponed and not any(lag.values()) and quiet >= QUIET_S:
                return
            if quiet > STUCK_AFTER_S:
                raise DrainError(f"Nothing moves any more: {received} of {expected} came in, behind are {lag}")
            time.sleep(POLL_S)


def _summary(observer: Observer, source: Input, start: Start, *, as_json: bool) -> None:
    """Say what came of it. Rows and insights are those stored for these devices; the others count this run."""
    insights = observer.insights(source.devices)
    totals = observer.totals()
    result = {
        "rows": observer.rows(source.devices),
        "duplicates": totals.duplicates - start.totals.duplicates,
        "conflicts": totals.conflicts - start.totals.conflicts,
        "dead letters": observer.written(DEAD_LETTERS) - start.dead_letters,
        "insights": len(insights),
    }
    if as_json:
        show({**result, "told": [asdict(insight) for insight in insights]}, as_json=True)
        return
    for insight in insights[:INSIGHTS_SHOWN]:
        print(f"[{insight.severity}, by {insight.source}] {insight.summary}")
    if len(insights) > INSIGHTS_SHOWN:
        print(f"… and {len(insights) - INSIGHTS_SHOWN} more")
    print(" · ".join(f"{name} {count}" for name, count in result.items()), flush=True)
