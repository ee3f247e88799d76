"""The lane's Kafka client where librdkafka's timing decides: with a consumer that plays one course of events."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest
from confluent_kafka import Message, TopicPartition

from streams.lane import client as module
from streams.lane.client import Client, Partition

TOPIC = "readings"
LOG = [Message(topic=TOPIC, partition=0, offset=offset, key=b"device", value=b"%d" % offset) for offset in range(5)]

Assigned = Callable[["OneAtOnce", list[TopicPartition]], None]


class OneAtOnce:
    """Does within the first poll what librdkafka may do: assigns a partition, and hands out its first record."""

    def __init__(self, _settings: Mapping[str, object], **_more: object) -> None:
        self._on_assign: Assigned | None = None
        self._next: int | None = None
        self._paused = False

    def subscribe(self, _topics: Sequence[str], *, on_assign: Assigned, **_more: object) -> None:
        self._on_assign = on_assign

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._next = partitions[0].offset if partitions else None

    def pause(self, _partitions: Sequence[TopicPartition]) -> None:
        self._paused = True

    def resume(self, _partitions: Sequence[TopicPartition]) -> None:
        self._paused = False

    def poll(self, _timeout: float) -> Message | None:
        if self._on_assign is not None:
            told, self._on_assign = self._on_assign, None
            told(self, [TopicPartition(TOPIC, 0)])
        return next(iter(self.consume(1)), None)

    def consume(self, count: int, timeout: float = 0.0) -> list[Message]:  # noqa: ARG002  # as librdkafka has it
        if self._next is None or self._paused:
            return []
        given = LOG[self._next : self._next + count]
        self._next += len(given)
        return given

    def close(self) -> None:
        pass


class Owner:
    """Starts at the beginning of the log."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.reading = asyncio.Event()

    def rebalancing(self) -> None:
        pass

    async def assigned(self, partitions: frozenset[Partition], generation: int) -> None:
        assert self.client is not None
        await self.client.start_at(dict.fromkeys(partitions, 0), generation)
        self.reading.set()

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        pass

    def failed(self, error: BaseException) -> None:
        raise error


async def test_a_record_that_comes_before_anybody_asks_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Consumer", OneAtOnce)
    owner = Owner()
    client = owner.client = Client({"group.id": "group"}, owner, batch_records=100)
    client.start([TOPIC])
    try:
        await asyncio.wait_for(owner.reading.wait(), 10)
        fetched = await asyncio.wait_for(client.fetch(), 10)
    finally:
        await client.stop()
    assert [record.offset() for record in fetched.records[TOPIC, 0]] == [0, 1, 2, 3, 4]
