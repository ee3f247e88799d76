"""The lane's Kafka client on a real broker: where it starts, that it waits without leaving, what ends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from connectors.embedded.server import Server
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Outgoing, Producer
from connectors.kafka.settings import KafkaSettings
from schemas.topics import READINGS
from streams.agents.records import raw_batch
from streams.lane.client import Client, Fetched, Partition, ReadError

pytestmark = pytest.mark.kafka


class Owner:
    """Takes whatever comes, and reads it from where the test says."""

    def __init__(self, start: dict[int, int] | None = None) -> None:
        self.client: Client | None = None
        self.start = start or {}
        self.told: list[str] = []
        self.reading = asyncio.Event()
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.on_revoked: Callable[[], Awaitable[object]] | None = None

    def rebalancing(self) -> None:
        self.told.append("rebalancing")

    async def assigned(self, partitions: frozenset[Partition], generation: int) -> None:
        self.told.append("assigned")
        assert self.client is not None
        positions = {(topic, number): self.start.get(number, 0) for topic, number in partitions}
        await self.client.start_at(positions, generation)
        self.reading.set()

    async def revoked(self, _partitions: frozenset[Partition]) -> None:
        self.told.append("revoked")
        if self.on_revoked is not None:
            await self.on_revoked()

    def failed(self, error: BaseException) -> None:
        self.failure.set_result(error)


@pytest.fixture
def kafka(kafka_server: Server) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_server.address, partitions=2)


@pytest.fixture
def topic(kafka: KafkaSettings, topic_name: str) -> str:
    Admin(kafka).apply([replace(READINGS, name=topic_name)])
    return topic_name


def produce(kafka: KafkaSettings, topic: str, values: range, *, each: bool = False) -> None:
    """Write values to one partition or, with a key for each, to all."""
    producer = Producer(kafka)
    producer.publish([Outgoing(topic, b"device%d" % (value * each), b"%d" % value) for value in values])
    producer.close()


@asynccontextmanager
async def member(kafka: KafkaSettings, topic: str, owner: Owner, **more: object) -> AsyncIterator[Client]:
    settings = {
        **kafka.client(),
        "group.id": f"group-of-{topic}",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "session.timeout.ms": 6000,
        "log_level": 0,
        **more,
    }
    client = owner.client = Client(settings, owner, batch_records=100)
    client.start([topic])
    try:
        await asyncio.wait_for(owner.reading.wait(), 30)
        yield client
    finally:
        await client.stop()


def values(fetched: Fetched) -> list[int]:
    return [int(value or b"") for records in fetched.records.values() for value in raw_batch(records).values]  # type: ignore[arg-type]  # confluent's stubs say that a topic may be None


async def take(client: Client, count: int) -> list[int]:
    taken: list[int] = []
    while len(taken) < count:
        taken += values(await asyncio.wait_for(client.fetch(), 30))
    return taken


async def commit(client: Client, offsets: dict[Partition, int]) -> None:
    """Commit as Faust does, again and again: a coordinator that is being elected refuses at first."""
    async with asyncio.timeout(20):
        while not await client.commit(offsets):  # noqa: ASYNC110  # nobody tells when the coordinator is there
            await asyncio.sleep(0.2)


async def test_it_reads_on_from_where_its_owner_says_whatever_was_committed(kafka: KafkaSettings, topic: str) -> None:
    produce(kafka, topic, range(10))
    owner = Owner()
    async with member(kafka, topic, owner) as client:
        assert await take(client, 10) == list(range(10))
        (home,) = [name for name, position in client.positions.items() if position == 10]
        await commit(client, {home: 10})
    assert Admin(kafka).committed(f"group-of-{topic}", [home])[home] == 10
    second = Owner(start={home[1]: 4})
    async with member(kafka, topic, second) as client:
        assert await take(client, 6) == list(range(4, 10))


async def test_records_that_nobody_takes_pause_the_fetching_and_keep_the_membership(
    kafka: KafkaSettings, topic: str
) -> None:
    owner = Owner()
    async with member(kafka, topic, owner, **{"max.poll.interval.ms": 6000}) as client:
        produce(kafka, topic, range(5))
        assert await take(client, 5) == list(range(5))
        assert not client.paused
        produce(kafka, topic, range(5, 10))
        async with asyncio.timeout(10):
            while not client.paused:  # noqa: ASYNC110  # it is set on another thread
                await asyncio.sleep(0.05)
        # Longer than the session and than work may take: a member that is not looked after would be gone.
        await asyncio.sleep(8.0)
        assert await take(client, 5) == list(range(5, 10))
        assert not client.paused
        assert owner.told.count("revoked") == 0


@pytest.mark.apache_kafka  # the wheel broker does not let a second member into a group
async def test_what_is_in_hand_is_finished_and_committed_before_partitions_go(kafka: KafkaSettings, topic: str) -> None:
    produce(kafka, topic, range(10))
    first = Owner()
    async with member(kafka, topic, first) as client:
        await take(client, 10)
        (home,) = [name for name, position in client.positions.items() if position == 10]
        committed = asyncio.Event()

        async def finish() -> None:
            await commit(client, {home: 10})
            committed.set()

        first.on_revoked = finish
        async with member(kafka, topic, Owner()):
            assert committed.is_set()
            assert Admin(kafka).committed(f"group-of-{topic}", [home])[home] == 10
        assert first.told[:4] == ["rebalancing", "assigned", "rebalancing", "revoked"]


@pytest.mark.apache_kafka  # the same
async def test_a_partition_that_went_while_paused_is_read_when_it_comes_back(kafka: KafkaSettings, topic: str) -> None:
    owner = Owner()
    async with member(kafka, topic, owner) as client:
        async with asyncio.timeout(10):
            while not client.paused:  # noqa: ASYNC110  # it is set on another thread
                await asyncio.sleep(0.05)
        read: set[int] = set()

        async def read_on() -> None:
            while len(read) < 20:
                read.update(values(await client.fetch()))

        async with member(kafka, topic, Owner()):
            async with asyncio.timeout(30):
                while len(client.assignment) != 1:  # noqa: ASYNC110  # the new member may have its part before
                    await asyncio.sleep(0.05)
            reading = asyncio.ensure_future(read_on())  # so that it is not paused when the other partition comes back
            await asyncio.sleep(1.0)
        produce(kafka, topic, range(20), each=True)
        await asyncio.wait_for(reading, 30)
        assert {number for _, number in client.positions} == {0, 1}


async def test_a_position_that_has_expired_ends_the_reading(kafka: KafkaSettings, topic: str) -> None:
    produce(kafka, topic, range(3))
    owner = Owner(start={0: 100, 1: 100})
    async with member(kafka, topic, owner) as client:
        reading = asyncio.ensure_future(client.fetch())
        error = await asyncio.wait_for(owner.failure, 30)
        assert isinstance(error, ReadError)
        assert topic in str(error)
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(ReadError, match="has stopped"):
            await client.commit({(topic, 0): 1})


async def test_an_owner_that_fails_ends_the_reading(kafka: KafkaSettings, topic: str) -> None:
    class Failing(Owner):
        async def assigned(self, partitions: frozenset[Partition], generation: int) -> None:  # noqa: ARG002  # the same signature
            self.reading.set()
            raise ValueError("no marks")

    owner = Failing()
    async with member(kafka, topic, owner):
        assert str(await asyncio.wait_for(owner.failure, 30)) == "no marks"
