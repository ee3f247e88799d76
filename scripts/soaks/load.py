"""The load straight to Kafka: many devices, repetitions, late readings, a noisy device, counters, storms of poison."""

import io
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

import fastavro
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.codec import frame
from schemas.registry import READING
from schemas.topics import READINGS
from scripts.soaks.poison import poison
from streams.drill.book import Book, Counter
from streams.drill.fleet import COUNT, METRIC

REPEATED: Final = 0.05
LATE: Final = 0.05
LATE_BY: Final = 2000  # readings of others that go before
NOISE: Final = 10  # how often the noisy device speaks while another one speaks once
COUNTER_EVERY: Final = 450  # readings between two counts
# What was not sent in time, because Kafka was away, is sent faster later; more than this is let go of.
DEBT_S: Final = 20.0
TURN: Final = 200
PAUSE_S: Final = 0.005
QUEUE: Final = 400_000

_HEAD: Final = frame(READING.id)


@dataclass(frozen=True, slots=True)
class Books:
    """What the direct load writes down."""

    main: Book
    noisy: Book
    counters: list[Counter]


class Load(threading.Thread):
    """Sends at a steady rate until it is stopped; what Kafka did not take is sent again."""

    def __init__(self, address: str, books: Books, rate: float, random: Random) -> None:
        """`rate` is in readings a second."""
        super().__init__(name="load", daemon=True)
        self.sent = 0
        self.confirmed = 0
        self.failed = 0
        # Where the log has poison, by Kafka's own report: partition and offset.
        self.poison: set[tuple[int, int]] = set()
        self.error: BaseException | None = None
        self._address = address
        self._books = books
        self._rate = rate
        self._random = random
        self._late: deque[int] = deque()
        self._again: deque[Callable[[], None]] = deque()
        self._storm = 0
        self._next = 0
        self._noisy = 0
        self._stopping = threading.Event()
        self._broken = False
        self._producer = self._connect()

    @property
    def storming(self) -> int:
        """How much poison is still to be sent."""
        return self._storm

    def storm(self, messages: int) -> None:
        """Send so many messages that cannot be used, as fast as it goes, among the others."""
        self._storm += messages

    def stop(self, within_s: float) -> int:
        """Send no more, and wait for Kafka's word on all that was sent; give how many it said nothing about."""
        self._stopping.set()
        self.join(within_s)
        return len(self._producer)

    def run(self) -> None:
        """Send."""
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  # told where the soak looks after its threads
            self.error = error

    def _run(self) -> None:
        owed_since = time.monotonic()
        paid = 0
        while not self._stopping.is_set():
            if self._broken:
                self._mend()
            now = time.monotonic()
            owed = int((now - owed_since) * self._rate) - paid
            if owed > DEBT_S * self._rate:
                owed_since, paid, owed = now, 0, 0
            for _ in range(min(TURN, owed)):
                paid += self._turn()
            for _ in range(min(TURN, self._storm)):
                self._storm -= 1
                self._send_poison()
            while self._again:
                self._again.popleft()()
            self._producer.poll(0 if owed > TURN else PAUSE_S)
        self._finish()

    def _finish(self) -> None:
        """Send what was held back, and wait for Kafka's word on all."""
        while self._late or self._again:
            if self._late:
                self._send(self._books.main, self._late.popleft())
            else:
                self._again.popleft()()
        while len(self._producer):
            self._producer.flush(1.0)
            while self._again:
                self._again.popleft()()

    def _turn(self) -> int:
        """Send what comes next; give how many readings that was."""
        before = self.sent
        number = self._next
        self._next += 1
        dice = self._random.random()
        if dice < LATE:
            self._late.append(number)
        else:
            self._send(self._books.main, number)
            if dice < LATE + REPEATED:
                self._send(self._books.main, number)
        if self._late and self._late[0] + LATE_BY < number:
            self._send(self._books.main, self._late.popleft())
        if number * NOISE % self._books.main.stream.devices == 0:
            self._send(self._books.noisy, self._noisy)
            self._noisy += 1
        if number % COUNTER_EVERY == 0:
            self._count(self._books.counters[number // COUNTER_EVERY % len(self._books.counters)])
        return self.sent - before

    def _send(self, book: Book, number: int) -> None:
        stream = book.stream
        device = stream.device(number)
        value = encoded(device, stream.ts_us(number), METRIC, stream.value(number))

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self.confirmed += 1
                book.accept(number)
            else:
                self._refused(error, partial(self._send, book, number))

        self._produce(device.encode(), value, report)

    def _count(self, counter: Counter) -> None:
        counter.sent += 1
        count = counter.sent
        value = encoded(counter.device, counter.ts_us, COUNT, float(count))

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self.confirmed += 1
                counter.accepted = max(counter.accepted, count)
            else:  # not again: it would come after those that followed it
                self._refused(error, None)

        self._produce(counter.device.encode(), value, report)

    def _send_poison(self) -> None:
        key, value = poison(self._random)

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.confirmed += 1
                self.poison.add((int(message.partition() or 0), int(message.offset() or 0)))
            else:
                self._refused(error, None)

        self._produce(key, value, report)

    def _produce(self, key: bytes, value: bytes, report: "Callable[[KafkaError | None, Message], None]") -> None:
        self.sent += 1
        while True:
            try:
                self._producer.produce(READINGS.name, value, key, on_delivery=report)
            except BufferError:
                self._producer.poll(PAUSE_S)
            except KafkaException:
                self._mend()
            else:
                return

    def _refused(self, error: KafkaError, again: Callable[[], None] | None) -> None:
        self.failed += 1
        self._broken = self._broken or error.fatal()
        if again is not None:
            self._again.append(again)

    def _mend(self) -> None:
        """Take another producer: this one has lost its place in the broker's sequence."""
        self._broken = False
        self._producer.purge()
        self._producer.flush(1.0)
        self._producer = self._connect()

    def _connect(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._address,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
                "delivery.timeout.ms": 10 * 60 * 1000,
                "queue.buffering.max.messages": QUEUE,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
            }
        )


def encoded(device: str, ts_us: int, metric: str, value: float) -> bytes:
    """Write a reading as a device does that speaks Avro."""
    out = io.BytesIO()
    out.write(_HEAD)
    reading = {"device_id": device, "ts": ts_us, "metrics": {metric: value}, "units": {}, "tags": {}, "seq": None}
    fastavro.schemaless_writer(out, READING.parsed, reading)
    return out.getvalue()
