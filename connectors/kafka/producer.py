"""The one producer: idempotent, acks=all, and partitioned as every other client of the ecosystem does.

librdkafka's default partitioner (CRC32) would send a device elsewhere than Java's and aiokafka's murmur2 does, and a
device must have one home: so everything of ours that writes to Kafka goes through this class.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as ConfluentProducer

from connectors.errors import ConnectorError, SlowDownError
from connectors.kafka import said
from connectors.kafka.settings import KafkaSettings
from schemas.topics import TOPICS

POLL_S = 0.05

Delivery = Callable[[Exception | None], None]


class DeliveryError(ConnectorError):
    """Kafka did not confirm a write."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record on its way to a topic."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


def configuration(settings: KafkaSettings, linger_ms: int) -> dict[str, str | int | float | bool]:
    """Give librdkafka's settings of a producer of ours."""
    return {
        **settings.client(),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": linger_ms,
        "delivery.timeout.ms": int(settings.delivery_timeout_s * 1000),
        # As much as the largest topic takes; the broker decides for the others.
        "message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 256 * 1024,
        "log_level": 3,
    }


def _refused(topic: str, why: str) -> DeliveryError:
    return DeliveryError(f"Kafka did not take a record for {topic}: {why}")


def _report(on_delivery: Delivery, error: KafkaError | None, message: Message) -> None:
    on_delivery(None if error is None else _refused(str(message.topic()), error.str()))


class Producer:
    """Writes to Kafka; reports of delivery come from a thread of its own."""

    def __init__(self, settings: KafkaSettings, *, linger_ms: int = 5) -> None:
        """Connect in the background: a broker that is away shows in the delivery reports."""
        self._producer = ConfluentProducer(configuration(settings, linger_ms), logger=said.log)
        self._timeout_s = settings.delivery_timeout_s
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="kafka-delivery", daemon=True)
        self._poller.start()

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        *,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: Delivery,
    ) -> None:
        """Queue one record; `on_delivery` gets None, or why it was not written, from the delivery thread.

        Raises:
            SlowDownError: the queue is full: nothing was taken, try again after a pause.

        """
        report = partial(_report, on_delivery)
        try:
            self._producer.produce(
                topic, value, key, on_delivery=report, headers=list(headers.items()) if headers else []
            )
        except BufferError as error:
            raise SlowDownError("the queue to Kafka is full") from error
        except KafkaException as error:
            raise _refused(topic, str(error)) from error

    def publish(self, records: Iterable[Outgoing]) -> None:
        """Write all records and wait until Kafka has confirmed each.

        Raises:
            DeliveryError: at least one was not confirmed; any number of the others may have been written.

        """
        waiting = _Waiting()
        count = 0
        for count, record in enumerate(records, 1):  # noqa: B007  # how many they are is known in the end only
            self._queue(record, waiting.report)
        # librdkafka reports each record within its delivery time-out; the margin is for the reporting itself.
        waiting.wait(count, self._timeout_s + 5.0)

    async def publish_soon(self, records: Iterable[Outgoing]) -> None:
        """Do what `publish` does without holding up the event loop."""
        await asyncio.to_thread(self.publish, tuple(records))

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is queued, within `timeout_s`, and stop."""
        self._producer.flush(timeout_s)
        self._closing.set()
        self._poller.join(timeout=timeout_s)
        self._producer.purge()  # what could not be written in time is reported as such, or closing would wait for it
        self._producer.close()

    def _queue(self, record: Outgoing, on_delivery: Delivery) -> None:
        while True:
            try:
                self.send(record.topic, record.key, record.value, headers=record.headers, on_delivery=on_delivery)
            except SlowDownError:
                self._closing.wait(POLL_S)
            else:
                return

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_S)


class _Waiting:
    """Counts delivery reports until the last one is in."""

    def __init__(self) -> None:
        self._all_in = threading.Condition()
        self._open = 0  # below zero until it is known how many there will be
        self._error: Exception | None = None

    def report(self, error: Exception | None) -> None:
        with self._all_in:
            self._open -= 1
            self._error = self._error or error
            if not self._open:
                self._all_in.notify_all()

    def wait(self, count: int, timeout_s: float) -> None:
        with self._all_in:
            self._open += count
            if not self._all_in.wait_for(lambda: self._open == 0, timeout_s):
                raise DeliveryError(f"Kafka did not answer within {timeout_s:.0f} s")
            if self._error is not None:
                raise self._error
