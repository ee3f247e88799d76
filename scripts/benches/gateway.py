"""`scripts/bench gateway`: how soon a question is taken while no model answers, and how many readings come in."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from scripts.benches import machine, payloads, posting, servers, standin
from scripts.benches.command import Json, Runs, progress, publish, say
from scripts.benches.measure import MeasureError
from scripts.benches.processes import watched
from scripts.benches.report import Direction, Goal, Report, Result, ratio
from scripts.benches.servers import environment
from streams.settings import Settings

SUMMARY = (
    "How soon the gateway takes questions while every model hangs, and how many readings it takes, beside the limit."
)
EXAMPLES = "Examples: [bold]scripts/bench gateway[/] · [bold]scripts/bench gateway --runs 1 --json[/]"

# Questions a second, for so many seconds, over so many connections.
ASKED, ASKING_S, ASKERS = 50, 10, 10
# Readings in requests of so many, over so many connections.
READINGS, BATCH, CONNECTIONS = 60_000, 100, 16
OURS, BARE = "tidegate, gateway", "bare: FastAPI and confluent-kafka, nothing checked"
WORKER = ("-m", "streams.cli.main", "worker", "--lane", "analyze")
WORKING_WITHIN_S: Final = 60.0
POLL_S: Final = 0.1
MOST_MS: Final = 20.0
LEAST: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class Taken:
    """Readings of one run."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def command(*, runs: Runs = 5, as_json: Json = False) -> None:
    """Measure everything in one run, one after the other."""
    with servers.running(("kafka", "database", "redis"), say=say) as running, running.new_database() as settings:
        running.new_topics()
        versions = machine.versions((*machine.PACKAGES, "fastapi", "uvicorn")) | dict(running.versions)
        folder = running.folder / "processes"
        with progress(1 + 4 * runs) as step:
            asked: dict[str, list[list[float]]] = {OURS: [], BARE: []}
            with _hanging(settings, folder) as (ports, control):
                for run in range(1, runs + 1):
                    for name, port in ports.items():
                        step(f"questions while every model hangs, {name}, run {run} of {runs}")
                        asked[name].append(_ask(port))
                calls = len(standin.call(control, "GET", "requests"))
            step("making the readings")
            bodies = payloads.http(READINGS, BATCH)
            taken: dict[str, list[Taken]] = {OURS: [], BARE: []}
            for run in range(1, runs + 1):
                for name, how in ((OURS, posting.COMMAND), (BARE, posting.BARE)):
                    step(f"{name}, run {run} of {runs}")
                    taken[name].append(_take(settings, folder, how, bodies))
    publish(report(asked, calls, taken, versions), as_json=as_json)


def report(
    asked: dict[str, list[list[float]]], calls: int, taken: dict[str, list[Taken]], versions: dict[str, str]
) -> Report:
    """Compose what is said of it."""
    questions = "POST /v1/tasks while every model hangs"
    results = [
        Result(name, f"{questions}, p{part}", "ms", tuple(_percentile(run, part) for run in runs))
        for name, runs in asked.items()
        for part in (50, 99)
    ]
    results.append(Result(OURS, "calls that hung meanwhile", "", (float(calls),)))
    for name, runs in taken.items():
        results += [
            Result(name, f"readings in requests of {BATCH}", "readings/s", tuple(run.per_s for run in runs)),
            Result(name, "a request, p50", "ms", tuple(run.p50_ms for run in runs)),
            Result(name, "a request, p99", "ms", tuple(run.p99_ms for run in runs)),
            Result(name, "CPU of the gateway", "µs/reading", tuple(run.cpu_us for run in runs)),
        ]
    found = {(result.system, result.metric): result.median for result in results}
    mine, bare = (found[name, f"readings in requests of {BATCH}"] for name in (OURS, BARE))
    halves, ends = ([found[name, f"{questions}, p{part}"] for name in (OURS, BARE)] for part in (50, 99))
    return Report(
        bench="gateway",
        machine=machine.machine(),
        versions=versions,
        results=results,
        ratios={
            f"readings/s, {OURS} / bare": ratio(mine, bare),
            f"a question, p50, {OURS} / bare": ratio(*halves),
            f"a question, p99, {OURS} / bare": ratio(*ends),
        },
        goals=[
            Goal(f"{questions}, p99, ms", found[OURS, f"{questions}, p99"], MOST_MS, Direction.AT_MOST),
            Goal(f"readings/s of one process in requests of {BATCH}", mine, LEAST),
        ],
    )


@contextmanager
def _hanging(settings: Settings, folder: Path) -> Iterator[tuple[dict[str, int], str]]:
    """Run both gateways and a worker whose model never answers; give the gateways' ports, and the model's control."""
    with standin.running() as (url, control):
        standin.call(control, "PUT", "default", {"behaviour": "hang"})
        endpoints = [{"name": "hangs", "base_url": url, "api_key": "k", "model": "m", "max_concurrent": 64}]
        variables = {**environment(settings), "TIDEGATE_LLM__ENDPOINTS": json.dumps(endpoints)}
        with (
            watched((sys.executable, *WORKER), folder=folder / "worker", environment=variables),
            posting.running(sys.executable, settings, folder / "gateway") as (_, port),
            posting.running(sys.executable, settings, folder / "bare", posting.BARE) as (_, bare),
        ):
            _ask(bare, 1)
            _ask(port, 1)
            deadline = time.monotonic() + WORKING_WITHIN_S
            while not standin.call(control, "GET", "requests"):
                if time.monotonic() > deadline:
                    raise MeasureError("the worker asks no model")
                time.sleep(POLL_S)
            yield {OURS: port, BARE: bare}, control


def _ask(port: int, questions: int = ASKED * ASKING_S) -> list[float]:
    """Ask at an even rate; give how long each took, in milliseconds, from when it was to be asked."""
    asked = [
        json.dumps({"device_id": f"bench-{number:06d}", "metric": "m", "question": "Is it hot?"}).encode()
        for number in range(questions)
    ]
    took = posting.post(port, asked, ASKERS, path="/v1/tasks", every_s=ASKERS / ASKED)
    return [one * 1e3 for one in took]


def _take(settings: Settings, folder: Path, how: Sequence[str], bodies: Sequence[bytes]) -> Taken:
    with posting.running(sys.executable, settings, folder / "taking", how) as (process, port):
        warm = len(bodies) // 10
        posting.post(port, bodies[:warm], CONNECTIONS)
        process.sample()
        began = time.time()
        took = posting.post(port, bodies[warm:], CONNECTIONS)
        ended = time.time()
        process.sample()
        readings = len(took) * BATCH
        cpu_s = process.cpu_s(began, ended)
    return Taken(
        readings / (ended - began), _percentile(took, 50) * 1e3, _percentile(took, 99) * 1e3, cpu_s / readings * 1e6
    )


def _percentile(values: Sequence[float], part: int) -> float:
    return float(np.percentile(values, part))
