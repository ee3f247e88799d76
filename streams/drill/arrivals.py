"""What arrives of other regions in a region's Kafka, and how long after its acceptance there: seen from outside."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from connectors.kafka.admin import Admin
from connectors.kafka.settings import KafkaSettings
from schemas.codec import decode
from schemas.errors import PoisonError
from schemas.instants import to_micros
from schemas.models import Reading
from streams.drill.book import Book

FETCH: Final = 500
WAIT_S: Final = 0.1
LOOKED_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record: when it came (Unix time), and when it had been accepted."""

    at: float
    accepted: float


@dataclass
class Seen:
    """What one topic has brought."""

    arrivals: list[Arrival] = field(default_factory=list)
    numbers: dict[str, set[int]] = field(default_factory=dict)  # by stream


class Arrivals(threading.Thread):
    """Reads a topic of other regions' readings until it is stopped."""

    def __init__(self, address: str, topic: str, books: Mapping[str, Book]) -> None:
        """Take the books by the names of their streams."""
        super().__init__(name=f"arrivals-{topic}", daemon=True)
        self.seen = Seen()
        self._topic = topic
        self._books = books
        self._address = address
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self.join(LOOKED_S)

    def run(self) -> None:
        """Look."""
        settings = {"bootstrap.servers": self._address, "group.id": "drill", "log_level": 0}
        consumer = Consumer({**settings, "reconnect.backoff.max.ms": 500, "fetch.wait.max.ms": 50})
        partitions = Admin(KafkaSettings(bootstrap_servers=self._address)).topics([self._topic])[self._topic].partitions
        consumer.assign([TopicPartition(self._topic, number, 0) for number in range(partitions)])
        try:
            while not self._stopping.is_set():
                messages = consumer.consume(FETCH, timeout=WAIT_S)
                now = time.time()
                for message in messages:
                    if message.error() is None:
                        self._take(message, now)
        finally:
            try:
                consumer.close()
            except KafkaException:
                return

    def _take(self, message: Message, now: float) -> None:
        self.seen.arrivals.append(Arrival(now, message.timestamp()[1] / 1000))
        try:
            reading = decode(message.value() or b"", Reading)
        except PoisonError:
            return
        stream, _, device = reading.device_id.rpartition("-")
        book = self._books.get(stream)
        if book is None:
            return
        ts_us = to_micros(reading.ts)
        number = int(book.stream.numbers(_array(int(device)), _array(ts_us))[0])
        self.seen.numbers.setdefault(stream, set()).add(number)


def _array(value: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array([value], dtype=np.int64)
