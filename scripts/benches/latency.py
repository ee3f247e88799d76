"""`scripts/bench latency`: from a device's `produce` until its row is visible to another session of PostgreSQL.

The readings come at two rates: thin, where latency is what a system waits without need, and at half of what Tidegate
drains while nothing is sent. At the second one sender, Kafka, system and PostgreSQL share the machine, so how many
readings were really sent, and rows committed, is told beside the latencies.

A row's `ts` is the instant of its `produce`, and PostgreSQL keeps the time of its commit (`visible.py` says what that
leaves out). librdkafka's producer waits 5 ms by default for more to send; that is in every figure.

librdkafka's `consume(count, timeout)` waits until it has `count` messages or the time is over. At full speed that costs
nothing; when readings are thin, every one of them pays for it. So the bare row loop is measured twice: as the bench
`ingest` has it, and with the second that it usually has.
"""

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from connectors.kafka.producer import Outgoing, Producer
from connectors.timescale.connection import connect
from scripts.benches import machine, servers, systems, trickle, visible
from scripts.benches.command import Json, Runs, Step, progress, publish, say
from scripts.benches.load import Load
from scripts.benches.measure import MeasureError, measure
from scripts.benches.processes import Watched, watched
from scripts.benches.report import Direction, Goal, Report, Result, ratio
from scripts.benches.servers import Servers
from scripts.benches.systems import System
from scripts.benches.trickle import Phase, Sent
from scripts.benches.visible import US_PER_S, Flushes, Session, Times
from streams.settings import Settings

SUMMARY = "From a device's produce to a row that others see: Tidegate and row loops, thin and at half its maximum."
EXAMPLES = "Examples: [bold]scripts/bench latency[/] · [bold]scripts/bench latency --runs 1 --json[/]"

THIN, HALF = "thin", "half the maximum"
THIN_PER_S = 50.0
SECONDS = 8.0
# Of each rate, from its beginning: what starts up, and what is compiled.
LEFT_OUT_S = 2.0
# Rows that are not there so long after the last reading was sent show that the system has fallen behind.
LATE_S = 2.0
# The sender kept its rate if not more than this is missing.
KEPT = 0.98

# What Tidegate is to drain while nothing is sent, and how often that is measured.
MAXIMUM = Load(metrics=1, readings=800)
MAXIMUM_RUNS = 3

READY_WITHIN_S = 45.0
POLL_S = 0.1
FLUSH_EVERY_S = 0.2

_TIDEGATE, _DETECTION_OFF, _ROW_LOOP = systems.OWN[:3]
ROW_LOOP = "bare row loop, consume(20000, 0.1)"
WAITING_LOOP = "bare row loop, consume(5000, 1.0)"
SYSTEMS = (
    _TIDEGATE,
    _DETECTION_OFF,
    replace(_ROW_LOOP, name=ROW_LOOP, environment={"BENCH_CONSUME": "20000 0.1"}),
    replace(_ROW_LOOP, name=WAITING_LOOP, environment={"BENCH_CONSUME": "5000 1.0"}),
)
WANTED_MS = {THIN: 100.0, HALF: 1000.0}


@dataclass(frozen=True, slots=True)
class Latency:
    """In milliseconds, of all rows of a rate but those of its beginning."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run showed of a system at a rate. A system that fell behind has no latency: it would only grow."""

    sent_per_s: float
    committed_per_s: float
    latency: Latency | None
    flush_p99_ms: float | None


Figures = Mapping[tuple[str, str], Sequence[Measured]]


def command(*, runs: Runs = 5, as_json: Json = False) -> None:
    """Measure all systems, interleaved, with readings of 1,000 devices at two rates, eight seconds each.

    The time of a row's commit is PostgreSQL's own; nothing is counted meanwhile. The first two seconds of each are left
    out, and so is a first measurement, in which Kafka's broker compiles its own code.
    """
    first = min(runs, MAXIMUM_RUNS)
    with servers.running(say=say, commit_times=True) as running:
        versions = machine.versions() | dict(running.versions)
        with progress(2 + first + runs * len(SYSTEMS)) as step:
            maximum = _maximum(running, first, step)
            phases = {THIN: Phase(THIN_PER_S, SECONDS), HALF: Phase(_half(maximum), SECONDS)}
            step("warming up")
            _tried(running, _TIDEGATE, [phases[HALF]], "warming up")
            figures = _measure_all(running, phases, runs, step)
    publish(report(figures, maximum, versions), as_json=as_json)


def report(figures: Figures, maximum: Sequence[float], versions: Mapping[str, str]) -> Report:
    """Compose what is said of the figures; `maximum` has the rows/s that Tidegate drains while nothing is sent."""
    results = [Result(systems.TIDEGATE, "maximum, while nothing is sent", "rows/s", tuple(maximum))]
    for rate in (THIN, HALF):
        found = {system.name: figures.get((system.name, rate), ()) for system in SYSTEMS}
        for what, unit, read in _WHAT:
            results += [Result(name, f"{what}, {rate}", unit, tuple(read(runs))) for name, runs in found.items()]
        flushes = (one.flush_p99_ms for runs in found.values() for one in runs if one.flush_p99_ms is not None)
        results.append(Result("postgresql", f"flush of a small commit, p99, {rate}", "ms", tuple(flushes)))
    p99 = {(name, rate): _p99(figures, name, rate) for rate in (THIN, HALF) for name in (s.name for s in SYSTEMS)}
    return Report(
        bench="latency",
        machine=machine.machine(),
        versions={**versions, **_remarks(figures, _half(maximum))},
        results=results,
        ratios={
            f"{systems.TIDEGATE} / {name}, p99, {rate}": ratio(p99[systems.TIDEGATE, rate], value)
            for (name, rate), value in p99.items()
            if name != systems.TIDEGATE
        },
        goals=[
            Goal(f"{systems.TIDEGATE}, p99 in ms, {rate}", p99[systems.TIDEGATE, rate], wanted, Direction.AT_MOST)
            for rate, wanted in WANTED_MS.items()
        ],
    )


def _half(maximum: Sequence[float]) -> float:
    """Round down to what can be said: half of what was reached."""
    return statistics.median(maximum) / 2 // 100 * 100


def _latencies(runs: Sequence[Measured]) -> list[Latency]:
    """Give the latency of each run, or none at all: those of the better runs alone would say too much."""
    latencies = [one.latency for one in runs if one.latency is not None]
    return latencies if len(latencies) == len(runs) else []


def _p99(figures: Figures, name: str, rate: str) -> float | None:
    return Result("", "", "", tuple(one.p99 for one in _latencies(figures.get((name, rate), ())))).median


_WHAT: tuple[tuple[str, str, Callable[[Sequence[Measured]], Iterable[float]]], ...] = (
    ("p50", "ms", lambda runs: (latency.p50 for latency in _latencies(runs))),
    ("p99", "ms", lambda runs: (latency.p99 for latency in _latencies(runs))),
    ("max", "ms", lambda runs: (latency.max for latency in _latencies(runs))),
    ("sent", "readings/s", lambda runs: (one.sent_per_s for one in runs)),
    ("committed", "rows/s", lambda runs: (one.committed_per_s for one in runs)),
)


def _remarks(figures: Figures, half: float) -> dict[str, str]:
    """Say which systems fell behind, and where fewer readings were sent than was meant."""
    remarks = {}
    wanted = {THIN: THIN_PER_S, HALF: half}
    for (name, rate), found in figures.items():
        behind = [one for one in found if one.latency is None]
        if behind:
            reached = statistics.median(one.committed_per_s for one in behind)
            sent = statistics.median(one.sent_per_s for one in behind)
            remarks[f"{name}, {rate}"] = (
                f"no latency: fell behind in {len(behind)} of {len(found)} runs"
                f" ({reached:,.0f} of {sent:,.0f} rows/s were committed)"
            )
        slow = [one.sent_per_s for one in found if one.sent_per_s < KEPT * wanted[rate]]
        if slow:
            remarks[f"sender beside {name}, {rate}"] = (
                f"sent {statistics.median(slow):,.0f} instead of {wanted[rate]:,.0f} readings/s"
                f" in {len(slow)} of {len(found)} runs"
            )
    return remarks


def _maximum(running: Servers, runs: int, step: Step) -> list[float]:
    """Measure what Tidegate drains, as the bench `ingest` does.

    Raises:
        MeasureError: it could not be measured once.

    """
    step(f"{MAXIMUM.messages:,} messages")
    running.new_topics()
    _produce(running.settings, MAXIMUM.records())
    found = []
    for run in range(1, runs + 1):
        step(f"{systems.TIDEGATE}, the maximum, run {run} of {runs}")
        try:
            with running.new_database() as settings:
                found.append(measure(_TIDEGATE, MAXIMUM, settings, running.folder / "processes" / "system").rows_per_s)
        except MeasureError as error:
            say(f"{systems.TIDEGATE}, the maximum, run {run}: {error}")
    if not found:
        raise MeasureError("the maximum of which half is to be sent could not be measured")
    return found


def _measure_all(
    running: Servers, phases: Mapping[str, Phase], runs: int, step: Step
) -> dict[tuple[str, str], list[Measured]]:
    """Measure run after run, in each all systems one after the other: what slows the machine slows all alike."""
    figures: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for run in range(1, runs + 1):
        for system in SYSTEMS:
            what = f"{system.name}, run {run} of {runs}"
            step(what)
            for rate, found in zip(phases, _tried(running, system, [*phases.values()], what), strict=False):
                figures[system.name, rate].append(found)
    return figures


def _tried(running: Servers, system: System, phases: Sequence[Phase], what: str) -> list[Measured]:
    """Measure all rates or, where that fails, none, and say why."""
    try:
        return _measure(running, system, phases)
    except MeasureError as error:
        say(f"{what}: {error}")
        return []


def _measure(running: Servers, system: System, phases: Sequence[Phase]) -> list[Measured]:
    """Start a system with an empty topic and a database of its own, and send it the readings of all rates.

    Raises:
        MeasureError: it ended by itself, did not begin, or the readings could not be sent.

    """
    folder = running.folder / "processes"
    running.new_topics()
    with running.new_database() as settings, connect(settings.database, autocommit=True) as session:
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            session.execute("checkpoint")  # what the measurement before has left behind is not to be written now
        flushes = Flushes(session)
        variables = system.variables(settings, MAXIMUM, folder / "system")
        with watched(system.command(), folder=folder / "system", environment=variables) as process:
            _introduce(running, session, process)
            variables = servers.environment(settings) | trickle.environment(phases)
            with watched(trickle.COMMAND, folder=folder / "sender", environment=variables) as sender:
                sent = _sent(sender, process, flushes, len(phases))
            time.sleep(LATE_S)
            _look(process)
        ahead = visible.ahead(session)
        rows = visible.read(session, ahead)
        return [measured(phase, rows, flushes.read(ahead)) for phase in sent]


def measured(phase: Sent, rows: Times, flushes: Times) -> Measured:
    """Make figures of what was sent in a phase, and of rows and flushes, which may be of other phases, too."""
    first = phase.first + round(LEFT_OUT_S * US_PER_S)
    counted, flushed = rows.begun_between(first, phase.last), flushes.begun_between(first, phase.last)
    there = len(rows.begun_between(phase.first, phase.last)) >= phase.readings
    return Measured(
        sent_per_s=phase.per_s,
        committed_per_s=rows.ended_per_s(first, phase.last),
        latency=Latency(*(counted.percentile_ms(share) for share in (0.5, 0.99, 1.0))) if there else None,
        flush_p99_ms=flushed.percentile_ms(0.99) if len(flushed) else None,
    )


def _introduce(running: Servers, session: Session, process: Watched) -> None:
    """Send a reading of each device, and wait until the system has stored them: from then on it is ready."""
    _produce(running.settings, trickle.introductions())
    deadline = time.monotonic() + READY_WITHIN_S
    while session.execute("select count(*) from readings").fetchone() != (trickle.DEVICES,):
        _look(process)
        if time.monotonic() > deadline:
            raise MeasureError(f"it has not stored the first readings: {process.last_words()}")
        time.sleep(POLL_S)


def _sent(sender: Watched, process: Watched, flushes: Flushes, phases: int) -> list[Sent]:
    """Wait until all is sent, and commit something now and then."""
    while sender.alive:
        _look(process)
        flushes.make()
        time.sleep(FLUSH_EVERY_S)
    sent = trickle.parsed(sender.leash.log.read_text(encoding="utf-8", errors="replace"))
    if len(sent) < phases:
        raise MeasureError(f"the readings could not be sent: {sender.last_words()}")
    return sent


def _look(process: Watched) -> None:
    if not process.alive:
        raise MeasureError(f"it ended by itself: {process.last_words()}")


def _produce(settings: Settings, records: Iterable[Outgoing]) -> None:
    producer = Producer(settings.kafka, linger_ms=20)
    try:
        producer.publish(records)
    finally:
        producer.close()
