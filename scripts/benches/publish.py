"""`scripts/bench publish`: the ways into Kafka, each from its beginning to records that Kafka has confirmed."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from confluent_kafka import Producer as BareProducer

from connectors.errors import ConnectorError
from connectors.kafka.producer import Outgoing, Producer
from scripts.benches import backlog, machine, payloads, posting, servers, subscribers, waiting
from scripts.benches.arrivals import ArrivalsError, Log
from scripts.benches.command import Json, Runs, progress, publish, say
from scripts.benches.commits import Span
from scripts.benches.processes import Watched, watched
from scripts.benches.report import Goal, Report, Result, ratio
from scripts.benches.servers import Servers
from scripts.benches.subscribers import BRIDGE, COUNTER, FORWARDER, MOSQUITTO_SUB, Subscriber
from streams.settings import Settings

SUMMARY = "What the bridge, the gateway and the producer bring into Kafka, beside paho and mosquitto's own client."
EXAMPLES = "Examples: [bold]scripts/bench publish[/] · [bold]scripts/bench publish --runs 1 --json[/]"

MESSAGES = 40_000
# To the gateway, in requests of so many readings, over connections that stay open.
POSTED, BATCH, CONNECTIONS = 30_000, 100, 4
PRODUCED = 200_000
WANTED = 10_000.0

GATEWAY = f"tidegate, gateway, requests of {BATCH}"
PRODUCER = "tidegate, producer"
BARE_PRODUCER = "confluent-kafka, acks=all, idempotent"

# (system, metric) in the order of the tables.
MQTT, HTTP, KAFKA = "MQTT, QoS 1", "HTTP", "Kafka, encoded beforehand"
SYSTEMS = (
    (BRIDGE, MQTT),
    (FORWARDER, MQTT),
    (COUNTER, MQTT),
    (MOSQUITTO_SUB, MQTT),
    (GATEWAY, HTTP),
    (PRODUCER, KAFKA),
    (BARE_PRODUCER, KAFKA),
)
COMPARED = ((BRIDGE, FORWARDER), (BRIDGE, COUNTER), (BRIDGE, MOSQUITTO_SUB), (PRODUCER, BARE_PRODUCER))

EMQX = (
    "published, not measured here: 100,000 messages/s from MQTT (QoS 1, 1 KB) to Kafka, on 32 cores with Kafka on"
    " another 32"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run showed. The CPU time is that of the client alone; None where it is not a process of its own."""

    per_s: float
    cpu_us: float | None = None


Message = tuple[str, bytes]
Figures = Mapping[str, Sequence[Measured]]


def command(*, runs: Runs = 5, as_json: Json = False) -> None:
    """Measure all ways in, interleaved.

    Messages wait at the MQTT broker before a subscriber starts, so that it alone is the limit; readings are about 100
    bytes long. What went to Kafka is counted by the time at which Kafka appended it, and the first 15 % are left out.
    """
    with servers.running(("kafka", "database", "mqtt"), say=say) as running, running.new_database() as settings:
        chosen, found = subscribers.ready(settings.mqtt, MESSAGES)
        versions = machine.versions((*machine.PACKAGES, "paho-mqtt", "fastapi", "uvicorn"))
        versions |= dict(running.versions) | dict(found) | {"EMQX": EMQX}
        running.new_topics()
        figures = _measure_all(running, settings, chosen, runs)
    publish(report(figures, versions), as_json=as_json)


def report(figures: Figures, versions: Mapping[str, str]) -> Report:
    """Compose what is said of the figures: of every system, measured or not."""
    results = [
        Result(name, what, "messages/s", tuple(measured.per_s for measured in figures.get(name, ())))
        for name, what in SYSTEMS
    ]
    medians = {result.system: result.median for result in results}
    for name, what in SYSTEMS:
        cpu = tuple(m.cpu_us for m in figures.get(name, ()) if m.cpu_us is not None)
        results += [Result(name, f"client CPU, {what}", "µs/message", cpu)] if cpu else []
    return Report(
        bench="publish",
        machine=machine.machine(),
        versions=versions,
        results=results,
        ratios={f"{mine} / {other}": ratio(medians[mine], medians[other]) for mine, other in COMPARED},
        goals=[Goal(f"{BRIDGE}, messages/s at QoS 1", medians[BRIDGE], WANTED)],
    )


def _measure_all(
    running: Servers, settings: Settings, chosen: Sequence[Subscriber], runs: int
) -> dict[str, list[Measured]]:
    """Measure run after run, in each all ways in one after the other: what slows the machine slows all alike."""
    figures: dict[str, list[Measured]] = defaultdict(list)
    with progress(1 + runs * (len(chosen) + 3)) as step:
        step("making the readings")
        ways = _ways(settings, chosen, running.folder / "processes")
        for run in range(1, runs + 1):
            for name, measure in ways.items():
                step(f"{name}, run {run} of {runs}")
                try:
                    figures[name].append(measure())
                except ConnectorError as error:
                    say(f"{name}, run {run}: {error}")
    return figures


def _ways(settings: Settings, chosen: Sequence[Subscriber], folder: Path) -> dict[str, Callable[[], Measured]]:
    """Give of each way in what measures it once."""
    messages = payloads.mqtt(MESSAGES)
    bodies = payloads.http(POSTED, BATCH)
    records = payloads.kafka(PRODUCED)
    ways: dict[str, Callable[[], Measured]] = {
        one.name: partial(_subscribed, settings, one, messages, folder / one.client_id) for one in chosen
    }
    ways[GATEWAY] = partial(_posted, settings, bodies, folder / "gateway")
    ways[PRODUCER] = partial(_produced, settings, records, _produce)
    ways[BARE_PRODUCER] = partial(_produced, settings, records, _produce_bare)
    return ways


def _subscribed(settings: Settings, one: Subscriber, messages: Sequence[Message], folder: Path) -> Measured:
    """Let messages wait, then start the subscriber and see when they arrive."""
    log, count = Log(settings.kafka), len(messages)
    with backlog.waiting_for(one.client_id, settings.mqtt, messages):
        since = log.ends()
        with watched(one.command, folder=folder, environment=one.variables(settings, count)) as process:
            if not one.to_kafka:
                return _counted(process, count)
            log.wait(since, count, lambda: _look(process))
            process.sample()
            return _measured(log.span(since), process)


def _counted(process: Watched, count: int) -> Measured:
    """Wait until a subscriber has counted all messages; a process that ends with the last of them has done so."""

    def come() -> int:
        if process.alive:
            process.sample()
        return subscribers.received(_text(process))

    def alive() -> None:
        if not process.alive and come() < count:
            raise ArrivalsError(f"it ended by itself: {process.last_words()}")

    seen = waiting.grown(come, count, alive)
    span = subscribers.span(_text(process))
    if seen < count or span is None:
        raise ArrivalsError(f"{seen} of {count} messages came: {process.last_words()}")
    # How much CPU time a process had used can only be asked while it runs.
    return _measured(span, process) if process.alive else Measured(span.rows_per_s)


def _posted(settings: Settings, bodies: Sequence[bytes], folder: Path) -> Measured:
    """Post to a gateway, and see when the readings arrive."""
    log = Log(settings.kafka)
    since = log.ends()
    with posting.running(sys.executable, settings, folder) as (process, port):
        process.sample()
        posting.post(port, bodies, CONNECTIONS)
        process.sample()
        return _measured(log.span(since), process)


def _produced(
    settings: Settings, records: Sequence[Outgoing], produce: Callable[[Settings, Sequence[Outgoing]], None]
) -> Measured:
    """Take the time until Kafka has confirmed all records."""
    began = time.perf_counter()
    produce(settings, records)
    return Measured(len(records) / (time.perf_counter() - began))


def _produce(settings: Settings, records: Sequence[Outgoing]) -> None:
    producer = Producer(settings.kafka)
    try:
        producer.publish(records)
    finally:
        producer.close()


def _produce_bare(settings: Settings, records: Sequence[Outgoing]) -> None:
    """Do the same with nothing around the client: no report of delivery is looked at."""
    producer = BareProducer(
        {
            **settings.kafka.client(),
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "queue.buffering.max.messages": len(records),
        }
    )
    for record in records:
        producer.produce(record.topic, record.value, record.key)
    producer.flush()


def _measured(span: Span, process: Watched) -> Measured:
    return Measured(span.rows_per_s, process.cpu_s(span.first, span.last) / span.rows * 1e6)


def _look(process: Watched) -> None:
    process.sample()
    if not process.alive:
        raise ArrivalsError(f"it ended by itself: {process.last_words()}")


def _text(process: Watched) -> str:
    return process.leash.log.read_text(encoding="utf-8", errors="replace")
