"""`scripts/bench replay`: how fast records are replayed, how well a rate is kept, and that it adds no rows."""

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Final, LiteralString

import numpy as np
import psycopg
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Producer as BareProducer
from confluent_kafka.admin import AdminClient

from connectors.kafka import consumer
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from schemas.topics import READINGS
from scripts.benches import machine, payloads, servers, waiting
from scripts.benches.command import Json, Runs, progress, publish, say
from scripts.benches.measure import MeasureError
from scripts.benches.processes import Watched, watched
from scripts.benches.report import Direction, Goal, Report, Result, ratio
from scripts.benches.servers import environment
from streams.settings import Settings

SUMMARY = "How fast records are replayed, beside a bare copy of bytes; how well a rate is kept; how many rows it adds."
EXAMPLES = "Examples: [bold]scripts/bench replay[/] · [bold]scripts/bench replay --runs 1 --json[/]"

RECORDS: Final = 300_000
RATE, PACED_S = 5_000, 15
OURS, WHERE, BARE = "tidegate replay", "tidegate replay --where", "bare: confluent-kafka, bytes alone"
SHADOW: Final = "tidegate replay --shadow"
EXPRESSION: Final = "metrics.size() > 0 && device_id != ''"
WANTED, MOST_OFF = 50_000.0, 5.0
CLI: Final = ("-m", "streams.cli.main")
WITHIN_S: Final = 300.0
AT_ONCE: Final = 5_000
ROWS: Final = "select count(*) from readings"
# How far all of the log is stored.
STORED: Final = "select coalesce(sum(next_offset), 0) from sink_offsets"


def command(*, runs: Runs = 5, as_json: Json = False) -> None:
    """Measure everything in one run; the records are about 100 bytes long, in eight partitions.

    A replay's speed is what it says itself: from the first look at the log until all is confirmed and written down.
    """
    with servers.running(("kafka", "database"), say=say) as running, running.new_database() as settings:
        running.new_topics()
        versions = machine.versions(machine.PACKAGES) | dict(running.versions)
        with progress(3 + 4 * runs) as step:
            step("making the readings")
            producer = Producer(settings.kafka)
            producer.publish(payloads.kafka(RECORDS))
            producer.close()
            copies, paced = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("copies", "paced"))
            speeds: dict[str, list[float]] = {OURS: [], WHERE: [], BARE: []}
            for run in range(1, runs + 1):
                step(f"{OURS}, run {run} of {runs}")
                speeds[OURS].append(_replayed(settings, "--into", copies))
                step(f"{WHERE}, run {run} of {runs}")
                speeds[WHERE].append(_replayed(settings, "--into", copies, "--where", EXPRESSION))
                step(f"{BARE}, run {run} of {runs}")
                speeds[BARE].append(_copied(settings, copies))
            step(f"at {RATE} records/s")
            off = _off(settings, paced)
            step("into the agents")
            added = _added(settings, running.folder / "worker")
            compared = []
            for run in range(1, runs + 1):
                step(f"{SHADOW}, run {run} of {runs}")
                compared.append(_replayed(settings, "--shadow"))
            _drop(settings, (copies, paced))
    publish(report(speeds, compared, off, added, versions), as_json=as_json)


def report(
    speeds: dict[str, list[float]], compared: list[float], off: float, added: int, versions: dict[str, str]
) -> Report:
    """Compose what is said of it."""
    results = [Result(name, "copied and confirmed", "records/s", tuple(values)) for name, values in speeds.items()]
    results += [
        Result(SHADOW, "decoded, watched and compared with their rows", "records/s", tuple(compared)),
        Result(OURS, f"off the rate of {RATE} records/s, over {PACED_S} s", "%", (off,)),
        Result(OURS, "rows that a replay into the agents adds", "rows", (float(added),)),
    ]
    found = {result.system: result.median for result in results[: len(speeds)]}
    return Report(
        bench="replay",
        machine=machine.machine(),
        versions=versions,
        results=results,
        ratios={f"{name} / {BARE}": ratio(found[name], found[BARE]) for name in (OURS, WHERE)},
        goals=[
            Goal("records/s", found[OURS], WANTED),
            Goal("off the rate, %", off, MOST_OFF, Direction.AT_MOST),
            Goal("rows that a replay adds", float(added), 0, Direction.AT_MOST),
        ],
    )


def _replayed(settings: Settings, *arguments: str) -> float:
    """Run `tidegate replay`; give the records a second."""
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, *CLI, "replay", READINGS.name, "--yes", "--json", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise MeasureError(f"the replay failed: {done.stderr.strip()}")
    return float(json.loads(done.stdout)["records/s"])


def _copied(settings: Settings, target: str) -> float:
    """Copy the same records with nothing around the client: no header, no selection, no checkpoint."""
    bounds = Admin(settings.kafka).bounds((READINGS.name, number) for number in range(READINGS.partitions))
    left = sum(bound.end - bound.start for bound in bounds.values())
    reading = Consumer({**settings.kafka.client(), "group.id": "tidegate-bench-copy", "enable.auto.commit": False})
    writing = BareProducer(
        {
            **settings.kafka.client(),
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "queue.buffering.max.messages": left,
        }
    )
    records, began = left, time.perf_counter()
    try:
        reading.assign([TopicPartition(*name, bound.start) for name, bound in bounds.items()])
        while left > 0:
            for message in reading.consume(AT_ONCE, 5.0):
                writing.produce(target, message.value(), message.key())
                left -= 1
        writing.flush()
    finally:
        reading.close()
    return records / (time.perf_counter() - began)


def _off(settings: Settings, target: str) -> float:
    """Replay at a rate, and see by Kafka's own timestamps how far from it the copies came, in percent."""
    each = RATE * PACED_S // READINGS.partitions
    spans = [part for number in range(READINGS.partitions) for part in ("--offsets", f"{number}:0-{each}")]
    _replayed(settings, "--into", target, "--rate", str(RATE), *spans)
    bounds = Admin(settings.kafka).bounds((target, number) for number in range(READINGS.partitions))
    chunks = consumer.read(settings.kafka, bounds)
    times = np.sort([record.timestamp()[1] for chunk in chunks for record in chunk.records])
    # The first came at once, the last when its time had come.
    rate = (times.size - np.count_nonzero(times == times[0])) / (times[-1] - times[0]) * 1000
    return abs(float(rate) / RATE - 1) * 100


def _added(settings: Settings, folder: Path) -> int:
    """Store the readings, replay them to the worker, and give how many rows there are more."""
    with watched(
        (sys.executable, *CLI, "worker", "--lane", "ingest"), folder=folder, environment=environment(settings)
    ) as worker:
        _wait(settings, worker)
        before = _number(settings, ROWS)
        _replayed(settings)
        _wait(settings, worker)
        return _number(settings, ROWS) - before


def _drop(settings: Settings, topics: tuple[str, ...]) -> None:
    client = AdminClient(settings.kafka.client())
    for future in client.delete_topics(list(topics)).values():
        future.result()


def _wait(settings: Settings, worker: Watched) -> None:
    names = [(READINGS.name, number) for number in range(READINGS.partitions)]
    total = sum(bound.end for bound in Admin(settings.kafka).bounds(names).values())

    def alive() -> None:
        if not worker.alive:
            raise MeasureError(f"the worker ended: {worker.last_words()}")

    if waiting.grown(lambda: _number(settings, STORED), total, alive) < total:
        raise MeasureError("the worker does not get through")


def _number(settings: Settings, statement: LiteralString) -> int:
    with psycopg.connect(settings.database.url.get_secret_value()) as connection:
        row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
