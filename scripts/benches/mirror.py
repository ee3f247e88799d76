"""`scripts/bench mirror`: how fast records come from one region's Kafka to another's, how late, and what it takes."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Producer as BareProducer

from connectors.embedded import kafka, mirror
from connectors.embedded.server import Leashed, Server
from connectors.kafka import mirror as mirror_maker
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.kafka.settings import KafkaSettings
from connectors.regions import Regions
from schemas.topics import READINGS, TOPICS, mirrors
from scripts.benches import machine, payloads
from scripts.benches.command import Json, Runs, progress, publish, say
from scripts.benches.measure import MeasureError
from scripts.benches.report import Direction, Goal, Report, Result, ratio
from streams.settings import load

SUMMARY = "How fast and how late records come to another region's Kafka, beside a bare loop, and what it takes."
EXAMPLES = "Examples: [bold]scripts/bench mirror[/] · [bold]scripts/bench mirror --runs 1 --json[/]"

HERE, THERE = "eu", "us"
THEIRS: Final = READINGS.of(THERE).name
RECORDS: Final = 300_000
WARM: Final = 200_000
RATE, PACED_S = 2_000, 15
AT_ONCE: Final = 5_000
WITHIN_S: Final = 120.0
MOST_LATE_S: Final = 5.0
POLL_S: Final = 0.02
COPIES: Final = "bench-copies"
MIRROR, BARE = "MirrorMaker 2", "bare: confluent-kafka, bytes alone"


@dataclass(frozen=True)
class Two:
    """Two regions' brokers, and MirrorMaker between them."""

    there: Server
    here: Server
    maker: Leashed

    @property
    def settings(self) -> dict[str, KafkaSettings]:
        """How to reach them."""
        return {
            name: KafkaSettings(bootstrap_servers=server.address)
            for name, server in ((THERE, self.there), (HERE, self.here))
        }


@dataclass(frozen=True)
class Copied:
    """What a run showed: records a second, and microseconds of CPU a record of each part."""

    per_s: float
    maker_us: float
    there_us: float
    here_us: float


def command(*, runs: Runs = 5, as_json: Json = False) -> None:
    """Measure everything in one run; the records are about 100 bytes long, in eight partitions. It takes Java.

    MirrorMaker stands still while records are written, so nothing but the copying is measured.
    """
    folder = load().data_dir.resolve() / "bench" / "mirror"
    with progress(2 + 2 * runs) as step:
        step("starting two brokers and MirrorMaker")
        with _running(folder) as two:
            step("warming up")
            _produce(two.settings[THERE], WARM)
            _until(two, WARM)
            copied, bare = [], []
            for run in range(1, runs + 1):
                step(f"{MIRROR}, run {run} of {runs}")
                copied.append(_copied(two))
                step(f"{BARE}, run {run} of {runs}")
                bare.append(_bare(two))
            step(f"at {RATE} records/s")
            late = _late(two)
            packed = _bytes(two.there) / (WARM + runs * RECORDS)
    publish(report(copied, bare, late, packed), as_json=as_json)


def report(copied: list[Copied], bare: list[float], late: list[float], packed: float) -> Report:
    """Compose what is said of it. `late` is in seconds, one for each record; `packed` in bytes a record."""
    fast = Result(MIRROR, "copied and confirmed", "records/s", tuple(one.per_s for one in copied))
    limit = Result(BARE, "copied and confirmed", "records/s", tuple(bare))
    cpu = {
        "CPU of MirrorMaker a record": tuple(one.maker_us for one in copied),
        "CPU of the broker it reads a record": tuple(one.there_us for one in copied),
        "CPU of the broker it writes a record": tuple(one.here_us for one in copied),
    }
    p99 = float(np.percentile(late, 99))
    return Report(
        bench="mirror",
        machine=machine.machine(),
        versions=machine.versions(machine.PACKAGES),
        results=[
            fast,
            limit,
            *(Result(MIRROR, name, "µs", values) for name, values in cpu.items()),
            Result(MIRROR, f"late at {RATE} records/s, p50", "ms", (float(np.percentile(late, 50)) * 1e3,)),
            Result(MIRROR, f"late at {RATE} records/s, p99", "ms", (p99 * 1e3,)),
            Result("Kafka", "size of a record among many, packed with lz4", "bytes", (packed,)),
        ],
        ratios={f"{MIRROR} / {BARE}": ratio(fast.median, limit.median)},
        goals=[Goal("seconds behind, p99", p99, MOST_LATE_S, Direction.AT_MOST)],
    )


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[Two]:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.ExitStack() as held:
        servers = []
        for name, other in ((THERE, HERE), (HERE, THERE)):
            server = kafka.start(folder / name, say)
            held.callback(server.stop)
            if server.kind != kafka.APACHE:
                raise MeasureError("MirrorMaker takes Apache Kafka (Java 17 and Maven)")
            # (The bare loop's copies have a topic like that of the readings.)
            topics = (*TOPICS, *mirrors([other]), replace(READINGS, name=COPIES))
            Admin(KafkaSettings(bootstrap_servers=server.address)).apply(topics)
            servers.append(server)
        there, here = servers
        listed = {
            "regions": [
                {"name": name, "kafka": {"bootstrap_servers": server.address, "replication_factor": 1}}
                for name, server in ((THERE, there), (HERE, here))
            ]
        }
        properties = mirror_maker.configuration(Regions.model_validate(listed), HERE)
        maker = mirror.start(folder / "mirror-maker", mirror_maker.text(properties), HERE, say)
        held.callback(maker.stop)
        yield Two(there, here, maker)


def _produce(settings: KafkaSettings, count: int) -> None:
    producer = Producer(settings)
    producer.publish(payloads.kafka(count))
    producer.close()


def _ends(settings: KafkaSettings, topic: str) -> dict[tuple[str, int], int]:
    bounds = Admin(settings).bounds((topic, number) for number in range(READINGS.partitions))
    return {name: bound.end for name, bound in bounds.items()}


def _until(two: Two, records: int) -> None:
    admin = Admin(two.settings[HERE])
    names = [(THEIRS, number) for number in range(READINGS.partitions)]
    deadline = time.monotonic() + WITHIN_S
    while sum(bound.end for bound in admin.bounds(names).values()) < records:
        if time.monotonic() > deadline or not two.maker.alive:
            raise MeasureError(f"not all records come over; the log: {two.maker.log}")
        time.sleep(POLL_S)


def _copied(two: Two) -> Copied:
    """Let MirrorMaker copy what was written while it stood still."""
    processes = [_held(leash) for leash in (two.maker, *_leashes(two.there), *_leashes(two.here))]
    before = sum(_ends(two.settings[HERE], THEIRS).values())
    os.kill(processes[0].pid, signal.SIGSTOP)
    try:
        _produce(two.settings[THERE], RECORDS)
    finally:
        os.kill(processes[0].pid, signal.SIGCONT)
    began, used = time.perf_counter(), [_cpu(process) for process in processes]
    _until(two, before + RECORDS)
    took = time.perf_counter() - began
    each = [(_cpu(process) - was) / RECORDS * 1e6 for process, was in zip(processes, used, strict=True)]
    return Copied(RECORDS / took, *each)


def _bare(two: Two) -> float:
    """Copy the same records with nothing around the client; give the records a second."""
    reading = Consumer({**two.settings[THERE].client(), "group.id": "bench", "enable.auto.commit": False})
    writing = BareProducer(
        {
            **two.settings[HERE].client(),
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "queue.buffering.max.messages": RECORDS,
        }
    )
    ends = _ends(two.settings[THERE], READINGS.name)
    share = RECORDS // READINGS.partitions
    began, left = time.perf_counter(), 0
    try:
        reading.assign([TopicPartition(*name, max(0, end - share)) for name, end in ends.items()])
        left = sum(min(share, end) for end in ends.values())
        copied = left
        while left > 0:
            for message in reading.consume(AT_ONCE, 5.0):
                writing.produce(COPIES, message.value(), message.key(), message.partition() or 0)
                left -= 1
        writing.flush()
    finally:
        reading.close()
    return copied / (time.perf_counter() - began)


def _late(two: Two) -> list[float]:
    """Write at an even rate; give how old each record is when it can be read in the other region, in seconds."""
    starts = _ends(two.settings[HERE], THEIRS)
    reading = Consumer({**two.settings[HERE].client(), "group.id": "bench", "fetch.wait.max.ms": 10})
    reading.assign([TopicPartition(*name, end) for name, end in starts.items()])
    writing = BareProducer({**two.settings[THERE].client(), "acks": "all", "linger.ms": 5})
    records = payloads.kafka(RATE * PACED_S)
    late: list[float] = []
    began, sent = time.time(), 0
    try:
        while len(late) < len(records):
            owed = min(len(records), int((time.time() - began) * RATE))
            for record in records[sent:owed]:
                writing.produce(record.topic, record.value, record.key)
            sent = max(sent, owed)
            writing.poll(0)
            found = reading.consume(AT_ONCE, POLL_S)
            now = time.time()
            late += [now - message.timestamp()[1] / 1000 for message in found if message.error() is None]
            if time.time() - began > PACED_S + WITHIN_S:
                raise MeasureError("not all records come over at an even rate")
    finally:
        reading.close()
    return late


def _bytes(server: Server) -> int:
    """Give the bytes that the readings take on a broker's disk."""
    if server.data_dir is None:
        raise MeasureError("the broker's data cannot be looked at")
    return sum(file.stat().st_size for file in server.data_dir.glob(f"data/{READINGS.name}-*/*.log"))


def _leashes(server: Server) -> list[Leashed]:
    return [held for held in server.held if isinstance(held, Leashed)]


def _held(leash: Leashed) -> psutil.Process:
    return psutil.Process(leash.pid).children()[0]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
