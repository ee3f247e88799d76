"""`scripts/bench analyze`: how much of what slow calls allow the slow lane makes of it.

Little's law (Little 1961): with so many calls out at once, of a mean latency, no more than the one divided by the other
can end a second. The requests are there beforehand, in Kafka, each of a device of its own; a stand-in model, a process
of its own behind a socket, answers after times with a long tail. What is counted are insights in the table; what the
law allows comes from the model's own record of its calls. The first call never comes back.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connectors.kafka.producer import Outgoing, Producer
from connectors.timescale.connection import connect
from schemas.codec import encode
from schemas.fields import Direction, Severity, deterministic_id
from schemas.models import AnalysisRequest, Sample
from schemas.topics import ANALYSIS_REQUESTS
from scripts.benches import machine, servers, standin
from scripts.benches.command import Json, Step, progress, publish, say
from scripts.benches.measure import MeasureError
from scripts.benches.processes import watched
from scripts.benches.report import Goal, Report, Result
from scripts.benches.servers import Servers
from streams.settings import Settings

SUMMARY = "The slow lane against Little's law: insights a second while model calls take 2 s, and some of them 30."
EXAMPLES = "Example: [bold]scripts/bench analyze --json[/]"

# Seconds that half of the calls take at most, and 99 of 100.
MEDIAN_S, TAIL_S = 2.0, 30.0
CALLS = 64
WINDOWS = {"a window a call": 1, "up to 16 windows a call": 16}
# From when all calls are out.
SETTLE_S, MEASURED_S = 15.0, 75.0
STARTED_WITHIN_S = 60.0
REQUESTS_A_WINDOW = 2_000
LITTLE = 0.95
POLL_S = 0.2
SPENT_UNTIL = float("inf")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one system made of the time. `ratio` is to what Little's law allows."""

    insights_per_s: float
    calls_per_s: float
    latency_s: float
    windows_per_call: float
    tokens_per_insight: float
    ratio: float


def command(*, as_json: Json = False) -> None:
    """Measure with a window a call and with many; each takes a minute and a half, for the tail of the latencies."""
    found = {}
    with servers.running(say=say) as running:
        with progress(len(WINDOWS)) as step:
            for name, windows in WINDOWS.items():
                found[name] = _measure(running, name, windows, step)
        versions = machine.versions() | dict(running.versions)
    publish(report(found, versions), as_json=as_json)


def report(found: Mapping[str, Measured], versions: Mapping[str, str]) -> Report:
    """Compose what is said of the figures."""
    results = []
    for name, one in found.items():
        results += [
            Result(name, "insights", "insights/s", (one.insights_per_s,)),
            Result(name, "calls", "calls/s", (one.calls_per_s,)),
            Result(name, "mean latency of a call", "s", (one.latency_s,)),
            Result(name, "windows a call", "windows", (one.windows_per_call,)),
            Result(name, "tokens an insight", "tokens", (one.tokens_per_insight,)),
        ]
    goals = [Goal(f"of Little's law, {name}", one.ratio, LITTLE) for name, one in found.items()]
    ratios = {goal.name: goal.value for goal in goals}
    return Report("analyze", machine.machine(), versions, results, ratios, goals)


def _measure(running: Servers, name: str, windows: int, step: Step) -> Measured:
    step(name)
    running.new_topics()
    with running.new_database() as settings, standin.running() as (url, control):
        standin.call(control, "PUT", "default", {"behaviour": f"lognormal:{MEDIAN_S}:{TAIL_S}"})
        standin.call(control, "PUT", "queue", {"behaviours": ["hang"]})
        _publish(settings, REQUESTS_A_WINDOW * windows)
        endpoint = {"name": "stand-in", "base_url": url, "api_key": "none", "model": "m", "max_concurrent": CALLS}
        environment = {
            **servers.environment(settings),
            "TIDEGATE_CACHE__ENABLED": "false",  # what is measured is the asking
            "TIDEGATE_LLM__ENDPOINTS": json.dumps([endpoint]),
            "TIDEGATE_LLM__WINDOWS_PER_CALL": str(windows),
        }
        arguments = [sys.executable, "-m", "streams.cli.main", "worker", "--lane", "analyze"]
        with watched(arguments, folder=running.folder / "analyze", environment=environment) as worker:
            deadline = time.monotonic() + STARTED_WITHIN_S
            while sum(call["until"] is None for call in standin.call(control, "GET", "requests")) < CALLS:
                if not worker.alive or time.monotonic() > deadline:
                    raise MeasureError(f"{name}: not all calls go out: {worker.last_words()}")
                time.sleep(POLL_S)
            time.sleep(SETTLE_S)
            began, before = time.time(), _insights(settings)
            time.sleep(MEASURED_S)
            ended, after = time.time(), _insights(settings)
        calls = standin.call(control, "GET", "requests")
    return judge(calls, began, ended, after - before)


def judge(calls: Sequence[Mapping[str, object]], began: float, ended: float, insights: int) -> Measured:
    """Take together what the model has seen between two Unix times, and how many insights came of it.

    The mean latency is the time that calls were out, divided by how many came back: what Little's law speaks of.
    """
    spans = [(float(str(call["at"])), _until(call)) for call in calls]
    out_s = sum(max(0.0, min(until, ended) - max(at, began)) for at, until in spans)
    back = [call for call, (_, until) in zip(calls, spans, strict=True) if began <= until < ended]
    if not back or not insights:
        raise MeasureError("no call came back while it was measured")
    seconds = ended - began
    windows = sum(str(call["body"]).count('{"n":') for call in back)
    latency_s = out_s / len(back)
    # What the law allows, in insights: calls a second, with as many windows as they had.
    allowed = CALLS / latency_s * windows / len(back)
    return Measured(
        insights_per_s=insights / seconds,
        calls_per_s=len(back) / seconds,
        latency_s=latency_s,
        windows_per_call=windows / len(back),
        tokens_per_insight=sum(_tokens(call) for call in back) / windows,
        ratio=insights / seconds / allowed,
    )


def _until(call: Mapping[str, object]) -> float:
    return SPENT_UNTIL if call["until"] is None else float(str(call["until"]))


def _tokens(call: Mapping[str, object]) -> int:
    usage = call.get("usage")
    return sum(int(usage[kind]) for kind in ("prompt_tokens", "completion_tokens")) if isinstance(usage, dict) else 0


def _publish(settings: Settings, count: int) -> None:
    """Put requests into Kafka, each of a device and with a value of its own."""
    producer = Producer(settings.kafka)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    window = [start + timedelta(seconds=at) for at in range(16)]
    records = []
    for number in range(count):
        device, value = f"device-{number}", 30.0 + number / 7
        request = AnalysisRequest(
            id=deterministic_id("bench", device),
            device_id=device,
            metric="temperature",
            unit="Cel",
            kind="deviation",
            direction=Direction.UP,
            severity=Severity.WARNING,
            score=0.8,
            value=value,
            baseline=20.0,
            spread=0.5,
            window_start=window[0],
            window_end=window[-1],
            accepted=window[-1],
            samples=tuple(Sample(ts=ts, value=20.0 if ts < window[-1] else value) for ts in window),
            topic="readings",
            partition=0,
            first_offset=number,
            last_offset=number,
        )
        records.append(Outgoing(ANALYSIS_REQUESTS.name, device.encode(), encode(request)))
    producer.publish(records)
    producer.close()


def _insights(settings: Settings) -> int:
    with connect(settings.database, autocommit=True) as connection:
        row = connection.execute("select count(*) from insights where source = 'model'").fetchone()
    return int(str(row[0])) if row else 0
