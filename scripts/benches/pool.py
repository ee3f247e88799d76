"""`scripts/bench pool`: what a call costs beside the bare client and LiteLLM, and what an endpoint's death does."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from scripts.benches import callers, endpoints, environments, machine, servers, standin
from scripts.benches.command import Json, Runs, Step, progress, publish, say
from scripts.benches.endpoints import FAULTS, Outcome, Server
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

Figures = Mapping[str, Sequence[Mapping[str, Any]]]


def command(
    *,
    runs: Runs = 5,
    rate: float = typer.Option(40.0, min=1.0, help="Calls a second; more than a machine can hold are only a queue."),
    as_json: Json = False,
) -> None:
    """Measure all systems in one process, run after run; then let one of two endpoints fail in every way."""
    python, versions = _environment()
    systems = ["bare", "tidegate", *(["litellm"] if python != Path(sys.executable) else [])]
    with progress(4 + len(FAULTS)) as step:
        figures = _latencies(python, systems, rate, runs, step)
        faults = Faults(
            {name: _outcomes(name, runs, step) for name in FAULTS}, _outages(runs, step), _calls(runs, step)
        )
    publish(report(figures, faults, rate, versions), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Faults:
    """What was seen while endpoints failed, run by run."""

    outcomes: Mapping[str, Sequence[Outcome]]
    # Seconds from the return of all endpoints to the first answer.
    back_s: Sequence[float]
    # Calls made by 100 callers with money for 40.
    calls: Sequence[int]


def report(figures: Figures, faults: Faults, rate: float, versions: Mapping[str, str]) -> Report:
    """Compose what is said of the figures."""
    rates = {name: FAST if name in WITHOUT_ENDPOINT else rate for name in NAMES}
    results = [
        Result(NAMES[name], f"{what} at {rates[name]:g} calls/s", unit, _values(figures, name, key))
        for what, key, unit in (("p50", "p50", "ms"), ("p99", "p99", "ms"), ("client CPU", "cpu_us", "µs/call"))
        for name in NAMES
    ]
    results += [
        Result("tidegate", f"endpoint {name}: {what}", unit, tuple(float(read) for read in values))
        for name, seen in faults.outcomes.items()
        for what, unit, values in (
            ("failed calls", "", [one.failed for one in seen]),
            ("traffic moved", "s", [one.moved_s for one in seen]),
            ("longest call", "s", [one.longest_s for one in seen]),
        )
    ]
    results.append(Result("tidegate", "all endpoints away and back: first answer", "s", tuple(faults.back_s)))
    afforded = f"{callers.CALLERS} callers of {callers.PROCESSES} processes, money for {callers.AFFORDED} calls: made"
    results.append(Result("tidegate", afforded, "", tuple(map(float, faults.calls))))
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
    for name, seen in faults.outcomes.items():
        failed = float(sum(one.failed for one in seen))
        goals.append(Goal(f"endpoint {name}: failed calls", failed, 0.0, Direction.AT_MOST))
        worst = max((one.moved_s for one in seen), default=None)
        goals.append(Goal(f"endpoint {name}: traffic moved, s", worst, 1.0, Direction.AT_MOST))
    goals += [
        Goal(f"{afforded}, most", max(map(float, faults.calls), default=None), callers.AFFORDED, Direction.AT_MOST),
        Goal(f"{afforded}, least", min(map(float, faults.calls), default=None), callers.AFFORDED, Direction.AT_LEAST),
    ]
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


@contextmanager
def _two() -> Iterator[list[Server]]:
    with ExitStack() as stack:
        started = [stack.enter_context(standin.process()) for _ in range(2)]
        yield [Server(said["url"], said["control"], process) for said, process in started]


def _outcomes(name: str, runs: int, step: Step) -> list[Outcome]:
    step(f"endpoint {name}")
    found = []
    for _ in range(runs):
        with _two() as two:
            found.append(endpoints.suffer(two, FAULTS[name]))
    return found


def _outages(runs: int, step: Step) -> list[float]:
    step("all endpoints away")
    found = []
    for _ in range(runs):
        with _two() as two:
            found.append(endpoints.outage(two))
    return found


def _calls(runs: int, step: Step) -> list[int]:
    step("callers with too little money")
    found = []
    with servers.running(("database",), say=say) as started:
        for _ in range(runs):
            with started.new_database() as settings:
                found.append(callers.calls_made(settings.database.url.get_secret_value()))
    return found


def _values(figures: Figures, name: str, key: str) -> tuple[float, ...]:
    return tuple(run[key] for run in figures.get(name, ()) if key in run)


def _difference(figures: Figures, name: str, limit: str, part: str) -> float | None:
    mine, least = (Result(each, "", "", _values(figures, each, part)).median for each in (name, limit))
    return None if mine is None or least is None else mine - least
