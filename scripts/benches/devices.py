"""`scripts/bench devices`: what a reading costs, and what a device takes, from a thousand devices to a million.

The part of a worker that needs no server runs in this process: decode, check, flatten, detect, and note devices. A
reading's cost beyond that, Kafka's client and COPY, does not know how many devices there are.
"""

import gc
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from scripts.benches import machine
from scripts.benches.command import Json, Runs, Step, progress, publish, say
from scripts.benches.environments import PeerError
from scripts.benches.fleet import Fleet, Worker
from scripts.benches.plot import Picture, Plot, draw
from scripts.benches.report import Direction, Goal, Report, Result, ratio
from streams.settings import load

SUMMARY = "CPU a reading and memory a device, from 1,000 devices to 1,000,000, with plots (PNG); needs no servers."
EXAMPLES = "Examples: [bold]scripts/bench devices[/] · [bold]scripts/bench devices --png devices.png --json[/]"

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
BATCH = 5000
# Every device is known before the measuring begins.
MEASURED = 100_000
FLAT = 0.15
BYTES = 1024


@dataclass
class Swept:
    """What was found for one number of devices."""

    cpu_us: list[float] = field(default_factory=list)
    detector_bytes: float = 0.0
    sightings_bytes: float = 0.0


def command(
    *,
    runs: Runs = 5,
    png: Annotated[Path | None, typer.Option(help="Where the plots go; else into the data directory.")] = None,
    as_json: Json = False,
) -> None:
    """Let fleets of every size report in turns, interleaved, and measure what their readings cost."""
    folder = load().data_dir.resolve() / "bench"
    with progress(len(COUNTS) * (1 + runs)) as step:
        found = sweep(COUNTS, runs, step)
    versions = machine.versions()
    file = (png or folder / "devices.png").resolve()
    try:
        draw(picture(found), file, folder, say)
    except PeerError as error:
        versions["matplotlib"] = f"no plots: {error}"
        say(f"no plots: {error}")
    else:
        say(f"plots: {file}")
    publish(report(found, versions), as_json=as_json)


def sweep(counts: Sequence[int], runs: int, step: Step) -> dict[int, Swept]:
    """Warm up a worker for each number of devices, then measure all of them, run after run."""
    found = {count: Swept() for count in counts}
    fleets = {count: Fleet(count, BATCH) for count in counts}
    workers = {}
    for count, fleet in fleets.items():
        step(f"{count:,} devices, warming up")
        workers[count] = _warm(fleet, found[count])
    for run in range(1, runs + 1):
        for count, fleet in fleets.items():
            step(f"{count:,} devices, run {run} of {runs}")
            batches = list(fleet.batches(MEASURED))
            cpu_s = sum(workers[count].take(batch) for batch in batches)
            found[count].cpu_us.append(cpu_s / sum(map(len, batches)) * 1e6)
    return found


def _warm(fleet: Fleet, swept: Swept) -> Worker:
    """Show a worker all devices, and note by how much the memory that it holds has grown."""
    worker = Worker()
    gc.collect()
    tracemalloc.start()
    try:
        # Twice at least: what comes with a device's second reading belongs to it as well.
        for batch in fleet.batches(2 * fleet.devices):
            worker.take(batch)
    finally:
        tracemalloc.stop()
    swept.detector_bytes = worker.detector_bytes / fleet.devices
    swept.sightings_bytes = worker.sightings_bytes / fleet.devices
    return worker


def report(found: Mapping[int, Swept], versions: Mapping[str, str]) -> Report:
    """Compose what is said of the sweep."""
    results = [
        Result("tidegate", f"CPU, {_devices(count)}", "µs/reading", tuple(s.cpu_us)) for count, s in found.items()
    ]
    for count, swept in found.items():
        results += [
            Result("tidegate", f"detector, {_devices(count)}", "bytes/device", (swept.detector_bytes,)),
            Result("tidegate", f"sightings, {_devices(count)}", "bytes/device", (swept.sightings_bytes,)),
        ]
    cpu = {count: Result("", "", "", tuple(swept.cpu_us)).median for count, swept in found.items()}
    fewest, most = min(found), max(found)
    compared = (count for count in found if count != fewest)
    ratios = {f"CPU, {_devices(count)} / {_devices(fewest)}": ratio(cpu[count], cpu[fewest]) for count in compared}
    off = [abs(value - 1.0) for value in ratios.values() if value is not None]
    goals = [
        Goal(f"CPU a reading, from {_devices(fewest)} off by", max(off, default=None), FLAT, Direction.AT_MOST),
        Goal(f"detector's bytes a device, {_devices(most)}", found[most].detector_bytes, BYTES, Direction.AT_MOST),
    ]
    return Report("devices", machine.machine(), versions, results, ratios, goals)


def picture(found: Mapping[int, Swept]) -> Picture:
    """Describe the plots."""
    cpu = [Result("", "", "", tuple(swept.cpu_us)).median or 0.0 for swept in found.values()]
    memory = {
        "detector": [swept.detector_bytes for swept in found.values()],
        "sightings": [swept.sightings_bytes for swept in found.values()],
    }
    return Picture(
        "What a reading costs and a device takes",
        "devices",
        list(found),
        (
            Plot("CPU, µs a reading", {"decode to sightings": cpu}, (cpu[0] * (1 - FLAT), cpu[0] * (1 + FLAT))),
            Plot("bytes a device", memory, (0.0, BYTES)),
        ),
    )


def _devices(count: int) -> str:
    return f"{count:,} devices"
