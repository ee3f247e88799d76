"""The thread that owns the Kafka client: whatever touches it happens here, one thing after another.

librdkafka fetches and sends heartbeats on threads of its own. This one takes what was fetched, and answers for the
group: rebalancing is told to the owner on the event loop, and goes on when the owner has finished.
"""

import asyncio
import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, TypeVar

from confluent_kafka import OFFSET_STORED, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors import metrics
from connectors.errors import ConnectorError
from connectors.kafka import said

log = logging.getLogger(__name__)

T = TypeVar("T")
Partition = tuple[str, int]
Step = Callable[[Consumer], None]

# How long a call into the client may wait before it looks for other work.
POLL_S = 0.1
# When nobody takes what was fetched for this long, fetching is paused: the group must not take us for dead, and what
# has been fetched already is bounded.
PAUSE_AFTER_S = 0.5
STOP_S = 30.0

# What the group refuses while partitions change hands: whoever has them next starts from the keeper's positions.
_SUPERSEDED = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._STATE,  # noqa: SLF001  # how librdkafka's own codes are named
        KafkaError._NO_OFFSET,  # noqa: SLF001  # the same
    }
)
# What passes by itself: the client goes on trying, and fetches on when it can.
_PASSING = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # the same
        KafkaError._TRANSPORT,  # noqa: SLF001  # the same
        KafkaError._RESOLVE,  # noqa: SLF001  # the same
        KafkaError._TIMED_OUT,  # noqa: SLF001  # the same
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001  # the same
        KafkaError._WAIT_COORD,  # noqa: SLF001  # the same
        KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001  # the member has left and joins again with the next poll
    }
)
_NO_SUCH_OFFSET = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})  # noqa: SLF001  # the same


class ReadError(ConnectorError):
    """Kafka cannot be read on from where we are."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records of several partitions, each partition's in order, read under one assignment."""

    generation: int
    records: Mapping[Partition, Sequence[Message]]


def _by_partition(messages: Sequence[Message]) -> dict[Partition, list[Message]]:
    """Share messages out to their partitions, each partition's in order.

    They come in runs of one partition, and a run is found without a step of Python's own a message.
    """
    records: dict[Partition, list[Message]] = defaultdict(list)
    for topic, of_topic in groupby(messages, key=Message.topic):
        for number, run in groupby(of_topic, key=Message.partition):
            records[str(topic), int(number or 0)].extend(run)
    return records


class Owner(Protocol):
    """Who is told about partitions that come and go, on the event loop."""

    def rebalancing(self) -> None:
        """Hear at once, on the client's thread, that partitions are about to change hands."""

    async def assigned(self, partitions: frozenset[Partition], generation: int) -> None:
        """Take partitions over. Nothing is read of them before `Client.start_at`."""

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Finish what is in hand of these partitions: when this returns, others may have them."""

    def failed(self, error: BaseException) -> None:
        """Hear, on the event loop, that reading cannot go on."""


class Client:
    """One member of a consumer group."""

    def __init__(self, settings: Mapping[str, Any], owner: Owner, *, batch_records: int) -> None:
        """Take librdkafka's settings. Nothing is connected before `start`."""
        self._settings = dict(settings)
        group = settings["group.id"]
        self._paused_metric, self._pauses_metric = (
            metrics.FETCHING_PAUSED.labels(group),
            metrics.FETCHING_PAUSES.labels(group),
        )
        self._owner = owner
        self._batch_records = batch_records
        self._inbox: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self._wanted: Future[Fetched] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Written by the thread alone; read by anyone.
        self.assignment: frozenset[Partition] = frozenset()
        self.generation = 0
        self.paused = False
        self.positions: dict[Partition, int] = {}  # the next record to deliver, once it is known

    @property
    def busy(self) -> bool:
        """Say whether nobody asks for records at the moment."""
        return self._wanted is None

    def start(self, topics: Sequence[str]) -> None:
        """Join the group; to be called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(list(topics),), name="kafka-consumer", daemon=True)
        self._thread.start()

    async def fetch(self) -> Fetched:
        """Wait for records, as long as it takes; only one call at a time."""
        wanted: Future[Fetched] = Future()

        def want(_consumer: Consumer) -> None:
            self._wanted = wanted

        self._inbox.put(want)
        return await asyncio.wrap_future(wanted)

    async def start_at(self, positions: Mapping[Partition, int], generation: int) -> None:
        """Read every partition of the assignment from its position or, without one, from the committed offset."""

        def seek(consumer: Consumer) -> None:
            if generation != self.generation:  # they have changed hands again: the next owner says where to start
                return
            self.positions = dict(positions)
            self._read_on(consumer)

        await self._step(seek)

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Commit the group's offsets; False when the group has moved on or the broker does not answer now."""
        wanted = [TopicPartition(*name, offset) for name, offset in offsets.items()]

        def commit(consumer: Consumer) -> bool:
            try:
                done = consumer.commit(offsets=wanted, asynchronous=False)
            except KafkaException as error:
                known = error.args[0].code() in _SUPERSEDED | _PASSING
                log.log(logging.INFO if known else logging.WARNING, "offsets were not committed: %s", error.args[0])
                return False
            return all(partition.error is None for partition in done or ())

        return await self._step(commit)

    async def stop(self) -> None:
        """Leave the group and end the thread."""
        self._stopping.set()
        self._inbox.put(lambda _consumer: None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_S)

    # -- on the thread -------------------------------------------------------------------------------------------------

    def _run(self, topics: list[str]) -> None:
        try:
            consumer = Consumer(self._settings, logger=said.log)
        except KafkaException as error:
            self._fail(error)
            return
        try:
            consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)
            while not self._stopping.is_set():
                if self._wanted is None:
                    self._hold(consumer)
                else:
                    self._take(consumer)
        except Exception as error:  # noqa: BLE001  # whatever it is, the worker must end: nobody reads any more
            self._fail(error)
        finally:
            self._stopping.set()
            consumer.close()
            if self._wanted is not None:
                self._wanted.cancel()

    def _hold(self, consumer: Consumer) -> None:
        """Nobody wants records: wait for a word, and stay in the group meanwhile."""
        try:
            self._inbox.get(timeout=POLL_S if self.paused else PAUSE_AFTER_S)(consumer)
        except queue.Empty:
            self._pause(consumer)
            # Answers for the group. A record may come out all the same, the first of partitions that were taken over
            # in this very call: nobody asked for it, and what is paused is read again from its position.
            if consumer.poll(0) is not None:
                self._pause(consumer)

    def _pause(self, consumer: Consumer) -> None:
        if self.paused or not self.assignment:
            return
        log.info("what was fetched is not taken: fetching is paused")
        consumer.pause([TopicPartition(*name) for name in self.assignment])
        self.paused = True
        self._paused_metric.set(1)
        self._pauses_metric.inc()

    def _take(self, consumer: Consumer) -> None:
        """Somebody wants records: give what is there, without waiting for more."""
        self._serve(consumer)
        if self.paused:
            log.info("fetching goes on")
            self._read_on(consumer)
        first = consumer.poll(POLL_S)
        if first is None:
            return
        generation = self.generation
        messages = [first, *consumer.consume(self._batch_records - 1, timeout=0)]
        if any(map(Message.error, messages)):
            for message in messages:
                self._check(message)
            messages = [message for message in messages if message.error() is None]
        records = _by_partition(messages)
        # Partitions were revoked in the middle: what was read before belongs to whoever has them next.
        if not records or generation != self.generation:
            return
        wanted, self._wanted = self._wanted, None
        if wanted is None or not wanted.set_running_or_notify_cancel():
            self._read_on(consumer)  # nobody waits for them any more; whoever asks next gets them
            return
        read = {name: int(delivered[-1].offset() or 0) + 1 for name, delivered in records.items()}
        self.positions = {**self.positions, **read}  # another dictionary: others look at it meanwhile
        wanted.set_result(Fetched(generation, records))

    def _read_on(self, consumer: Consumer) -> None:
        """Read every partition from after the last record that was delivered; what was fetched is forgotten.

        By assigning anew: `seek` refuses while a fetcher is being started, and `resume` leaves a partition standing
        still of which nothing was read before the pause (librdkafka 2.16). All are resumed, for a partition that was
        taken away while it was paused is still paused when it comes back.
        """
        names = sorted(self.assignment)
        consumer.resume([TopicPartition(*name) for name in names])
        consumer.assign([TopicPartition(*name, self.positions.get(name, OFFSET_STORED)) for name in names])
        self.paused = False
        self._paused_metric.set(0)

    def _serve(self, consumer: Consumer) -> None:
        while True:
            try:
                step = self._inbox.get_nowait()
            except queue.Empty:
                return
            step(consumer)

    @staticmethod
    def _check(message: Message) -> None:
        error = message.error()
        if error is None or error.code() in _PASSING or error.retriable():
            if error is not None:
                log.warning("Kafka: %s", error.str())
            return
        where = f"{message.topic()}[{message.partition()}] " if message.topic() else ""
        if error.code() in _NO_SUCH_OFFSET:
            raise ReadError(
                f"{where}cannot be read on: what comes next is not in the log. It expired before it was read, or the "
                f"topic was made anew. ({error.str()})"
            )
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise ReadError(
                f"{where}cannot be read on: the topic is gone: it was deleted while it was read. ({error.str()})"
            )
        raise ReadError(f"{where}cannot be read on: {error.str()}")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owner.rebalancing()
        self.generation += 1
        consumer.assign([])  # nothing is read until the owner has said where to start
        self.assignment = frozenset((tp.topic, tp.partition) for tp in partitions)
        self._tell(consumer, self._owner.assigned(self.assignment, self.generation))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owner.rebalancing()
        gone = frozenset((tp.topic, tp.partition) for tp in partitions)
        self._tell(consumer, self._owner.revoked(gone))
        self.generation += 1
        self.assignment, self.positions = frozenset(), {}
        consumer.unassign()

    def _tell(self, consumer: Consumer, told: Coroutine[Any, Any, None]) -> None:
        """Let the owner act on the event loop, and do meanwhile what it asks of the client."""
        if self._loop is None or self._stopping.is_set():
            told.close()
            return
        done = asyncio.run_coroutine_threadsafe(told, self._loop)
        done.add_done_callback(lambda _: self._inbox.put(lambda _consumer: None))
        while not done.done():
            if self._stopping.is_set():
                done.cancel()
                return
            self._inbox.get()(consumer)
        if not done.cancelled() and (error := done.exception()) is not None:
            raise error

    def _fail(self, error: BaseException) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._owner.failed, error)

    async def _step(self, step: Callable[[Consumer], T]) -> T:
        done: Future[T] = Future()

        def run(consumer: Consumer) -> None:
            try:
                done.set_result(step(consumer))
            except Exception as error:  # noqa: BLE001  # it is raised where the step was asked for
                done.set_exception(error)

        if self._stopping.is_set():
            raise ReadError("the Kafka client has stopped")
        self._inbox.put(run)
        return await asyncio.wrap_future(done)
