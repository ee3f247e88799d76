"""Readings at a steady rate: a process that stands for the devices, and writes to Kafka as they would.

Each reading's `ts` is the instant of its `produce`, in microseconds, so whoever finds its row later knows how old it
was. So that many fit into a second, only the instant is encoded while it runs; everything else is encoded beforehand.

Run as `python -m scripts.benches.trickle` with `BENCH_PHASES`, a JSON list of pairs of rate (readings/s) and seconds.
Of each phase it prints what it did as one JSON object in a line (`Sent`). Exits with 1 when Kafka did not take all.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as ConfluentProducer

from connectors.kafka.producer import Outgoing
from connectors.kafka.settings import KafkaSettings
from schemas import codec
from schemas.instants import EPOCH
from schemas.models import Reading
from schemas.topics import READINGS
from scripts.benches.load import LEVEL, METRICS, NOISE
from streams.settings import load

COMMAND = (sys.executable, "-m", "scripts.benches.trickle")
DEVICES = 1000
# Values in turns. Their number and that of the devices have no common divisor, so each device gets all of them.
VALUES = 1009

# How long it sleeps at least, and how many readings it sends before it looks at the clock again.
STEP_S = 0.002
AT_ONCE = 500
# Between two phases, so that what was sent in one is stored before the next.
BETWEEN_S = 1.5
FLUSH_S = 30.0

# A zigzag varint has seven bits a byte. Its two lowest bytes come from a table; the others change every 8 ms.
LOW_BITS = 14
LOW_MASK = (1 << LOW_BITS) - 1


@dataclass(frozen=True, slots=True)
class Phase:
    """So many readings a second, for so many seconds."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Sent:
    """What was done in a phase: the instants of the first and the last reading, in microseconds since 1970."""

    first: int
    last: int
    readings: int

    @property
    def per_s(self) -> float:
        """The rate that was reached."""
        return (self.readings - 1) / max(self.last - self.first, 1) * 1e6


class Encoder:
    """Readings of `DEVICES` devices in turns, one metric each, in Confluent's wire format."""

    def __init__(self) -> None:
        values = np.round(LEVEL + NOISE * np.random.default_rng(1).standard_normal(VALUES), 3).tolist()
        names = [f"bench-{number:06d}" for number in range(DEVICES)]
        self.keys = [name.encode() for name in names]
        self._heads = [_around(name, LEVEL)[0] for name in names]
        self._tails = [_around(names[0], value)[1] for value in values]
        self._low = [bytes((low & 0x7F | 0x80, low >> 7 | 0x80)) for low in range(LOW_MASK + 1)]
        self._high_of = 0
        self._high = b""

    def value(self, number: int, ts: int) -> bytes:
        """Encode the reading of this number, taken so many microseconds after 1970."""
        zigzag = ts << 1
        if zigzag >> LOW_BITS != self._high_of:
            self._high_of = zigzag >> LOW_BITS
            self._high = _varint(self._high_of)
        return self._heads[number % DEVICES] + self._low[zigzag & LOW_MASK] + self._high + self._tails[number % VALUES]


def introductions() -> Iterator[Outgoing]:
    """Give one reading of each device, so that a system knows all of them before the measuring begins."""
    encoder = Encoder()
    for number, key in enumerate(encoder.keys):
        yield Outgoing(READINGS.name, key, encoder.value(number, time.time_ns() // 1000))


def _around(name: str, value: float) -> tuple[bytes, bytes]:
    """Give what stands before and after the instant."""
    whole = codec.encode(Reading(device_id=name, ts=EPOCH, metrics={METRICS[0]: value}))
    head, after = whole.split(name.encode(), 1)
    return head + name.encode(), after[1:]  # of 1970 itself the instant is one byte


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  # seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Pace:
    """When which reading is due. One that could not be sent in time is due until it is."""

    def __init__(self, phase: Phase) -> None:
        self._rate = phase.rate
        self._total = round(phase.rate * phase.seconds)
        self.sent = 0

    def due(self, elapsed_s: float) -> int:
        """Say how many have to be sent now; the first one at once."""
        return min(int(elapsed_s * self._rate) + 1, self._total) - self.sent

    def pause(self, elapsed_s: float) -> float:
        """Say how long nothing has to be sent; a step at least, or many small writes would be made of it."""
        return max(self.sent / self._rate - elapsed_s, STEP_S)


def paced(
    phase: Phase,
    send: Callable[[int], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Let `send` send so many readings at a time that the rate is kept; give how many were sent in the phase's time.

    When it cannot be kept, what is late is sent as fast as it goes, and what is late at the end is not sent at all.
    """
    pace, began = Pace(phase), clock()
    while (elapsed := clock() - began) < phase.seconds:
        due = pace.due(elapsed)
        if due > 0:
            send(min(due, AT_ONCE))
            pace.sent += min(due, AT_ONCE)
        if due <= AT_ONCE:
            pause(pace.pause(clock() - began))
    return pace.sent


class Devices:
    """The producer, and the number of the next reading."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Connect as devices should: acknowledged by all, idempotent, a device to its partition."""
        self._encoder = Encoder()
        self._number = 0
        self._first = self._last = 0
        self._refused = 0
        self._producer = ConfluentProducer(
            {
                **kafka.client(),
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "delivery.report.only.error": True,
                "on_delivery": self._report,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 3,
            }
        )

    def run(self, phase: Phase) -> Sent:
        """Send what a phase wants, and wait until Kafka has confirmed it.

        Raises:
            KafkaException: it did not confirm all.

        """
        self._first = 0
        readings = paced(phase, self.send)
        sent = Sent(self._first, self._last, readings)
        left = self._producer.flush(FLUSH_S)
        if left or self._refused:
            raise KafkaException(f"{left + self._refused} of {readings} readings were not confirmed")
        return sent

    def send(self, count: int) -> None:
        """Send the next readings, each as of now."""
        produce, value, keys = self._producer.produce, self._encoder.value, self._encoder.keys
        topic, now, ts = READINGS.name, time.time_ns, 0
        for number in range(self._number, self._number + count):
            ts = now() // 1000
            body = value(number, ts)
            try:
                produce(topic, body, keys[number % DEVICES])
            except BufferError:  # Kafka is far behind: the reading gets older while it waits
                self._wait(body, keys[number % DEVICES])
            self._first = self._first or ts
        self._last = ts
        self._number += count
        self._producer.poll(0)

    def _wait(self, body: bytes, key: bytes) -> None:
        while True:
            self._producer.poll(STEP_S)
            try:
                self._producer.produce(READINGS.name, body, key)
            except BufferError:
                continue
            return

    def _report(self, error: KafkaError | None, _message: Message) -> None:
        self._refused += error is not None


def environment(phases: Sequence[Phase]) -> dict[str, str]:
    """Give the variable that tells the process what to send."""
    return {"BENCH_PHASES": json.dumps([[phase.rate, phase.seconds] for phase in phases])}


def parsed(log: str) -> list[Sent]:
    """Read what the process has printed so far: an object for each phase that has ended."""
    lines = (line for line in log.splitlines(keepends=True) if line.startswith("{") and line.endswith("}\n"))
    return [Sent(**json.loads(line)) for line in lines]


def main() -> None:
    """Send phase after phase."""
    devices = Devices(load().kafka)
    for number, (rate, seconds) in enumerate(json.loads(os.environ["BENCH_PHASES"])):
        if number:
            time.sleep(BETWEEN_S)
        try:
            sent = devices.run(Phase(rate, seconds))
        except KafkaException as error:
            sys.exit(str(error))
        print(json.dumps(asdict(sent)), flush=True)


if __name__ == "__main__":
    main()
