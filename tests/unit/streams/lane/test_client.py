"""The lane's Kafka client where librdkafka's timing decides: with a consumer that plays one course of events."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from streams.lane import client as module
from streams.lane.client import Client, Partition, ReadError

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


def record(topic: str, partition: int, offset: int) -> Message:
    return Message(topic=topic, partition=partition, offset=offset, key=b"device", value=b"1")


def error(code: int) -> Message:
    return Message(topic=TOPIC, partition=0, error=KafkaError(code, "said so"))


async def fetched_of(log: Sequence[Message], monkeypatch: pytest.MonkeyPatch) -> Mapping[Partition, Sequence[Message]]:
    """Let the client take, in one go, what librdkafka hands out in this order."""

    class AllAtOnce(OneAtOnce):
        def poll(self, _timeout: float) -> Message | None:
            if self._on_assign is None:
                return super().poll(_timeout)
            told, self._on_assign = self._on_assign, None
            told(self, [TopicPartition(TOPIC, 0)])
            return None

    monkeypatch.setattr(module, "Consumer", AllAtOnce)
    monkeypatch.setitem(globals(), "LOG", list(log))
    failures: list[BaseException] = []
    owner = Owner()
    monkeypatch.setattr(owner, "failed", failures.append)
    client = owner.client = Client({"group.id": "group"}, owner, batch_records=100)
    client.start([TOPIC])
    try:
        await asyncio.wait_for(owner.reading.wait(), 10)
        fetching = asyncio.ensure_future(client.fetch())
        done, _ = await asyncio.wait({fetching}, timeout=10)
        assert done
        if fetching.cancelled():  # the client ended
            await asyncio.sleep(0)
            raise failures[0]
        return fetching.result().records
    finally:
        await client.stop()


async def test_records_of_partitions_that_take_turns_all_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [("readings", 0), ("readings", 1), ("other", 0), ("readings", 0), ("readings", 1), ("other", 1)]
    log = [record(*place, offset) for offset in range(6) for place in (places if offset % 2 else places[::-1])]

    records = await fetched_of(log, monkeypatch)

    assert set(records) == set(places)
    for place, found in records.items():
        assert [message.offset() for message in found] == [
            m.offset() for m in log if (m.topic(), m.partition()) == place
        ]


async def test_an_error_that_passes_takes_no_record_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = error(KafkaError._TRANSPORT)  # noqa: SLF001  # how librdkafka's own codes are named
    records = await fetched_of([record(TOPIC, 0, 0), passing, record(TOPIC, 0, 1)], monkeypatch)

    assert {place: [message.offset() for message in found] for place, found in records.items()} == {(TOPIC, 0): [0, 1]}


async def test_an_error_that_does_not_pass_ends_reading_whatever_came_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log = [record(TOPIC, 0, 0), error(KafkaError.OFFSET_OUT_OF_RANGE), record(TOPIC, 0, 1)]
    with pytest.raises(ReadError, match="cannot be read on"):
        await fetched_of(log, monkeypatch)


async def test_a_topic_that_was_deleted_is_said_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReadError, match="the topic is gone: it was deleted while it was read"):
        await fetched_of([record(TOPIC, 0, 0), error(KafkaError.UNKNOWN_TOPIC_OR_PART)], monkeypatch)
