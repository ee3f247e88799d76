"""The messages that have arrived and are not acknowledged: sent to Kafka, and acknowledged in order of arrival.

A message may be acknowledged when Kafka has confirmed everything that it became, and everything before it. Delivery
reports come from the producer's thread and are only noted there; all else happens on the bridge's thread.

When Kafka refuses a record, nothing more is sent until every report is in; then what was not confirmed is sent again in
order of arrival, after a pause. So a retry never overtakes, and a device's readings keep their order.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from connectors.errors import SlowDownError
from connectors.mqtt.errors import UndeliveredError
from connectors.mqtt.records import KafkaRecord

Clock = Callable[[], float]

# Pauses before Kafka is tried again, in seconds: the first, doubled each time, and the longest.
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 10.0
# How long a producer that asked to slow down is left alone, unless a report shows that it has moved.
SLOW_PAUSE: Final = 0.05


class Producer(Protocol):
    """What the bridge needs of Kafka."""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        *,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: Callable[[Exception | None], None],
    ) -> None:
        """Queue one record; `on_delivery` gets None when Kafka has it for good, or what went wrong.

        Raises:
            SlowDownError: the queue is full; the record was not taken.

        """


@dataclass(slots=True, eq=False)
class Arrived:
    """One MQTT message on its way."""

    mid: int
    size: int
    records: list[KafkaRecord | None]
    unconfirmed: int
    next: int = 0


class Window:
    """What is in flight on the current connection."""

    def __init__(
        self, producer: Producer, ring: Callable[[], None], *, attempts: int = 8, clock: Clock = time.monotonic
    ) -> None:
        """`ring` is called from the producer's thread when a report has come; `attempts` rounds are tried in place."""
        self.sent = 0
        self.retried = 0
        self.bytes = 0
        self.outstanding = 0
        self._producer = producer
        self._ring = ring
        self._attempts = attempts
        self._clock = clock
        self._rounds = 0
        self._resume_at = 0.0
        self._failure: Exception | None = None
        self._arrived: deque[Arrived] = deque()
        self._unsent: deque[Arrived] = deque()
        self._reports: deque[tuple[Arrived, int, Exception | None]] = deque()

    @property
    def in_flight(self) -> int:
        """How many messages have arrived and may not be acknowledged yet."""
        return len(self._arrived)

    def pause(self) -> float:
        """Seconds until `send` has something to do: infinite where only a report can bring it."""
        if not self._unsent or self._failure is not None:
            return math.inf
        return max(0.0, self._resume_at - self._clock())

    def arrive(self, mid: int, records: list[KafkaRecord]) -> None:
        """Take a message; `mid` is 0 where there is nothing to acknowledge (QoS 0)."""
        size = sum(len(record.value) for record in records)
        message = Arrived(mid, size, [*records], len(records))
        self.bytes += size
        self._arrived.append(message)
        self._unsent.append(message)

    def send(self) -> None:
        """Hand what waits to the producer, as far as it takes it."""
        if not self._unsent or self._failure is not None or self._clock() < self._resume_at:
            return
        while self._unsent:
            message = self._unsent[0]
            while message.next < len(message.records):
                record = message.records[message.next]
                if record is not None:
                    try:
                        self._producer.send(
                            record.topic,
                            record.key,
                            record.value,
                            headers=record.headers,
                            on_delivery=partial(self._report, message, message.next),
                        )
                    except SlowDownError:
                        self._resume_at = self._clock() + SLOW_PAUSE
                        return
                    self.outstanding += 1
                message.next += 1
            self._unsent.popleft()

    def settle(self) -> list[int]:
        """Take in the reports, and give the packet ids that may be acknowledged now, in order of arrival.

        Raises:
            UndeliveredError: every attempt failed; the messages must be given back to the broker.

        """
        if self._reports:
            self._take_reports()
        if self._failure is not None and not self.outstanding:
            self._again(self._failure)
        done = []
        while self._arrived and not self._arrived[0].unconfirmed:
            message = self._arrived.popleft()
            self.bytes -= message.size
            self._rounds = 0
            if message.mid:
                done.append(message.mid)
        return done

    def disown(self) -> None:
        """Go on without the connection that brought the messages: Kafka gets them, and nobody an acknowledgement."""
        for message in self._arrived:
            message.mid = 0

    def forget(self) -> None:
        """Drop what Kafka did not take, after `UndeliveredError`: the broker still has it."""
        self._rounds = 0
        self._resume_at = 0.0
        self.bytes = 0
        self._arrived.clear()
        self._unsent.clear()

    def _report(self, message: Arrived, index: int, error: Exception | None) -> None:
        """Note a delivery report (producer's thread; appending to a deque needs no lock)."""
        self._reports.append((message, index, error))
        self._ring()

    def _take_reports(self) -> None:
        while self._reports:
            message, index, error = self._reports.popleft()
            self.outstanding -= 1
            if error is None:
                self.sent += 1
                message.records[index] = None
                message.unconfirmed -= 1
            else:
                self._failure = error
        if not self._rounds:
            self._resume_at = 0.0  # the producer's queue has moved

    def _again(self, failure: Exception) -> None:
        """Begin another round with all that was not confirmed."""
        self._failure = None
        if self._rounds >= self._attempts:
            raise UndeliveredError(f"Kafka did not take messages in {self._rounds + 1} attempts: {failure}")
        self._unsent.clear()
        for message in self._arrived:
            if message.unconfirmed:
                self.retried += sum(record is not None for record in message.records[: message.next])
                message.next = 0
                self._unsent.append(message)
        self._resume_at = self._clock() + min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._rounds)
        self._rounds += 1
