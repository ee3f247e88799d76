"""MirrorMaker itself on what we tell it: everything comes over once, with its time of acceptance, whatever was away."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Producer as BareProducer

from connectors.embedded import java, kafka, mirror
from connectors.embedded.server import Leashed, Server, UnavailableError
from connectors.kafka import mirror as mirror_maker
from connectors.kafka.admin import Admin
from connectors.kafka.settings import KafkaSettings
from connectors.regions import Regions
from schemas.topics import READINGS, TOPICS, mirrors

pytestmark = [pytest.mark.apache_kafka, pytest.mark.timeout(300)]

THEIRS = READINGS.of("us").name
WITHIN_S = 90.0
MEBIBYTE = 1024 * 1024


def quiet(_line: str) -> None:
    """Say nothing."""


def settings(server: Server) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=server.address)


def start(folder: Path) -> Server:
    try:
        java.jars(java.MIRROR)
        server = kafka.start(folder, quiet)
    except UnavailableError as error:
        pytest.skip(f"needs MirrorMaker: {error}")
    if server.kind != kafka.APACHE:
        server.stop()
        pytest.skip(f"needs two brokers of Apache Kafka; the broker is {server.how}")
    return server


@pytest.fixture
def here(servers_dir: Path) -> Iterator[Server]:
    server = start(servers_dir / "mirror" / "eu")
    Admin(settings(server)).apply((*TOPICS, *mirrors(["us"])))
    yield server
    server.stop()


@pytest.fixture
def there(servers_dir: Path) -> Iterator[list[Server]]:
    """The other region, which the test stops and starts: the last of these runs."""
    servers = [start(servers_dir / "mirror" / "us")]
    Admin(settings(servers[0])).apply((*TOPICS, *mirrors(["eu"])))
    yield servers
    servers[-1].stop()


@pytest.fixture
def maker(servers_dir: Path, here: Server, there: list[Server]) -> Iterator[Callable[[], Leashed]]:
    started: list[Leashed] = []
    regions = Regions.model_validate(
        {
            "regions": [
                {"name": name, "kafka": {"bootstrap_servers": server.address, "replication_factor": 1}}
                for name, server in (("us", there[0]), ("eu", here))
            ]
        }
    )

    def run() -> Leashed:
        properties = mirror_maker.text(mirror_maker.configuration(regions, "eu"))
        started.append(mirror.start(servers_dir / "mirror" / "maker", properties, "eu", quiet))
        return started[-1]

    yield run
    for leash in started:
        leash.stop()


def produce(server: Server, values: list[bytes]) -> None:
    packed = {"compression.type": "zstd", "message.max.bytes": 64 * MEBIBYTE}
    producer = BareProducer({**settings(server).client(), **packed, "enable.idempotence": True})
    for value in values:
        producer.produce(READINGS.name, value, b"device", partition=3)
    producer.flush(30)


def ends(server: Server) -> int:
    bounds = Admin(settings(server)).bounds((THEIRS, number) for number in range(READINGS.partitions))
    return sum(bound.end for bound in bounds.values())


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def read(server: Server, topic: str, count: int) -> list[tuple[int, bytes]]:
    """Give timestamps and values of the partition that all is in."""
    consumer = Consumer({**settings(server).client(), "group.id": "test", "fetch.message.max.bytes": 64 * MEBIBYTE})
    consumer.assign([TopicPartition(topic, 3, 0)])
    found: list[tuple[int, bytes]] = []
    deadline = time.monotonic() + WITHIN_S
    while len(found) < count and time.monotonic() < deadline:
        for message in consumer.consume(count, 1.0):
            assert message.error() is None
            found.append((message.timestamp()[1], message.value() or b""))
    consumer.close()
    return found


def test_what_was_accepted_while_one_of_them_was_away_comes_over_when_it_is_back(
    here: Server, there: list[Server], maker: Callable[[], Leashed], servers_dir: Path
) -> None:
    # One record is longer than a topic allows until it is packed, and what packs it here packs it badly.
    values = [b"first", 8 * random.Random(1).randbytes(MEBIBYTE // 2), b"third"]  # noqa: S311  # noise
    produce(there[0], values)
    there[0].stop()
    running = maker()  # finds nobody there
    time.sleep(8)
    assert running.alive
    there.append(kafka.start(servers_dir / "mirror" / "us", quiet))
    until(lambda: ends(here) >= len(values), "all of it comes over")

    # It dies, and another one goes on where it was.
    running.stop()
    produce(there[-1], [b"fourth"])
    maker()
    until(lambda: ends(here) >= len(values) + 1, "the rest comes over")
    came = read(here, THEIRS, ends(here))
    # Each in its partition, in order, with the time at which it was accepted; at least once.
    assert list(dict.fromkeys(came)) == read(there[-1], READINGS.name, len(values) + 1)
