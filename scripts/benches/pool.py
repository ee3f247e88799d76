"""`scripts/bench pool`: what a call costs beside the bare client and LiteLLM, and what an endpoint's death does."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import typer

from scripts.benches import endpoints, environments, machine, standin
from scripts.benches.command import Json, Runs, Step, progress, publish, say
from scripts.benches.endpoints import Death
from scripts.benches.environments import PeerError
from scripts.benches.measure import MeasureError
from scripts.benches.report import Direction, Goal, Report, Result, ratio
from streams.settings import load

SUMMARY = "Calls through the pool beside the bare client and LiteLLM's Router; and what the death of an endpoint does."
EXAMPLES = "Examples: [bold]scripts/bench pool[/] · [bold]scripts/bench pool --rate 20 --json[/]"

PEER = Path(__file__).with_name("peers") / "pool_calls.py"
ROOT = Path(__file__).parents[2]
NAMES = {
    "bare": "bare client",
    "tidegate": "tidegate",
    "litellm": "LiteLLM's Router",
    "nothing": "neither pool nor endpoint",
    "alone": "tidegate, no endpoint",
}
WITHOUT_ENDPOINT = ("nothing", "alone")
# The rate that the issue of such a pool is: without endpoints, for the client takes milliseconds of CPU a call.
FAST = 1_000.0
SECONDS = 4.0
LONGEST_S = 300.0
DEATHS = {"killed": endpoints.killed, "frozen": endpoints.frozen}

Figures = Mapping[str, Sequence[Mapping[str, Any]]]


def command(
    *,
    runs: Runs = 5,
    rate: float = typer.Option(40.0, min=1.0, help="Calls a second; more than a machine can hold are only a queue."),
    as_json: Json = False,
) -> None:
    """Measure all systems in one process, run after run; then kill and freeze one of two endpoints under the pool."""
    python, versions = _environment()
    systems = ["bare", "tidegate", *(["litellm"] if python != Path(sys.executable) else [])]
    with progress(2 + len(DEATHS)) as step:
        figures = _latencies(python, systems, rate, runs, step)
        deaths = {name: _deaths(name, runs, step) for name in DEATHS}
    publish(report(figures, deaths, rate, versions), as_json=as_json)


def report(figures: Figures, deaths: Mapping[str, Sequence[Death]], rate: float, versions: Mapping[str, str]) -> Report:
    """Compose what is said of the figures."""
    rates = {name: FAST if name in WITHOUT_ENDPOINT else rate for name in NAMES}
    results = [
        Result(NAMES[name], f"{what} at {rates[name]:g} calls/s", unit, _values(figures, name, key))
        for what, key, unit in (("p50", "p50", "ms"), ("p99", "p99", "ms"), ("client CPU", "cpu_us", "µs/call"))
        for name in NAMES
    ]
    results += [
        Result("tidegate", f"endpoint {name}: {what}", unit, tuple(float(read) for read in values))
        for name, died in deaths.items()
        for what, unit, values in (
            ("failed calls", "", [death.failed for death in died]),
            ("traffic moved", "s", [death.moved_s for death in died]),
            ("longest call", "s", [death.longest_s for death in died]),
        )
    ]
    above = {
        (name, part): _difference(figures, name, limit, part)
        for name, limit in (("tidegate", "bare"), ("litellm", "bare"), ("alone", "nothing"))
        for part in ("p50", "p99")
    }
    part_of = ratio(above["tidegate", "p50"], above["litellm", "p50"])
    goals = [
        Goal("p50 above the bare client, ms", above["tidegate", "p50"], 0.5, Direction.AT_MOST),
        Goal("p99 above the bare client, ms", above["tidegate", "p99"], 3.0, Direction.AT_MOST),
        Goal("p50 of the pool alone at 1,000 calls/s, ms", above["alone", "p50"], 0.5, Direction.AT_MOST),
        Goal("p99 of the pool alone at 1,000 calls/s, ms", above["alone", "p99"], 3.0, Direction.AT_MOST),
        Goal("overhead / LiteLLM's, p50", part_of, 0.2, Direction.AT_MOST),
    ]
    for name, died in deaths.items():
        worst = max((death.moved_s for death in died), default=None)
        goals.append(Goal(f"endpoint {name}: failed calls", float(sum(d.failed for d in died)), 0.0, Direction.AT_MOST))
        goals.append(Goal(f"endpoint {name}: traffic moved, s", worst, 1.0, Direction.AT_MOST))
    return Report(
        bench="pool",
        machine=machine.machine(),
        versions=versions,
        results=results,
        ratios={"overhead, tidegate / LiteLLM's Router, p50": part_of},
        goals=goals,
    )


def _environment() -> tuple[Path, dict[str, str]]:
    versions = machine.versions(("tidegate", "openai", "pydantic"))
    try:
        python = environments.made("litellm", PEER.with_suffix(".txt"), _folder(), say)
    except PeerError as error:
        say(f"LiteLLM is not measured: {error}")
        return Path(sys.executable), versions | {"litellm": f"not measured: {error}"}
    return python, versions | {"litellm": environments.version(python, "litellm")}


def _folder() -> Path:
    return load().data_dir.resolve() / "bench" / "peers" / PEER.stem


def _latencies(python: Path, systems: Sequence[str], rate: float, runs: int, step: Step) -> Figures:
    figures = defaultdict[str, list[Mapping[str, Any]]](list)
    with standin.running() as (first, _), standin.running() as (second, _):
        for names, at in ((systems, rate), (WITHOUT_ENDPOINT, FAST)):
            step(f"{', '.join(NAMES[name] for name in names)} at {at:g} calls/s")
            for run in _run(python, names, at, runs, [first, second]):
                figures[run["system"]].append(run)
    return figures


def _run(python: Path, systems: Sequence[str], rate: float, runs: int, urls: list[str]) -> list[dict[str, Any]]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BENCH_URLS": json.dumps(urls),
        "BENCH_RATE": str(rate),
        "BENCH_SECONDS": str(SECONDS),
        "BENCH_RUNS": str(runs),
        "BENCH_SYSTEMS": ",".join(systems),
        # Its list of prices is fetched from elsewhere otherwise.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    timeout_s = LONGEST_S + runs * len(systems) * SECONDS
    done = subprocess.run(  # noqa: S603  # our own file
        [str(python), str(PEER)], env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode:
        raise MeasureError(f"the calls failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _deaths(name: str, runs: int, step: Step) -> list[Death]:
    step(f"endpoint {name}")
    found = []
    for _ in range(runs):
        with ExitStack() as stack:
            (first, process), (second, _other) = (stack.enter_context(standin.process()) for _ in range(2))
            found.append(endpoints.die([first["url"], second["url"]], partial(DEATHS[name], process)))
    return found


def _values(figures: Figures, name: str, key: str) -> tuple[float, ...]:
    return tuple(run[key] for run in figures.get(name, ()) if key in run)


def _difference(figures: Figures, name: str, limit: str, part: str) -> float | None:
    mine, least = (Result(each, "", "", _values(figures, each, part)).median for each in (name, limit))
    return None if mine is None or least is None else mine - least
