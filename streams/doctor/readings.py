"""What the last readings in the log tell of who sends them: their partitioner, their clocks, and who sends the most."""

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from aiokafka.partitioner import murmur2
from confluent_kafka import Message

from connectors.kafka import consumer
from connectors.kafka.admin import Admin, Bounds, Partition
from schemas.codec import decode_dict
from schemas.errors import PoisonError
from schemas.instants import from_micros
from schemas.registry import READING
from schemas.topics import READINGS
from streams.doctor.finding import Finding
from streams.settings import Settings

# So many of the last records of each partition are looked at.
SAMPLE: Final = 500
# So far a device's clock may be ahead of Kafka's: readings are under way for a moment, and never arrive early.
AHEAD_S: Final = 5.0
# Who sends more than this part of a partition holds up its neighbours.
LOUD: Final = 0.5
# A sample of fewer says nothing about shares.
FEWEST: Final = 200
NAMED: Final = 5

_POSITIVE: Final = 0x7FFFFFFF
# How others choose a partition. (The default of Java's client, of aiokafka and of ours is the first; Faust's too.)
PARTITIONERS: Final[Mapping[str, Callable[[bytes, int], int]]] = {
    "murmur2": lambda key, count: (murmur2(key) & _POSITIVE) % count,
    "CRC32, which is librdkafka's default": lambda key, count: zlib.crc32(key) % count,
}
OURS: Final = "murmur2"


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the last readings.

    Raises:
        UnreachableError: Kafka does not answer.

    """
    if not settings.kafka.bootstrap_servers:
        return
    admin = Admin(settings.kafka)
    state = admin.topics([READINGS.name]).get(READINGS.name)
    if state is None:
        return
    sample = _sample(settings, admin.bounds((READINGS.name, number) for number in range(state.partitions)))
    yield from partitioners(sample, state.partitions)
    yield from device_clocks(sample)
    yield from loud_devices(sample)


def _sample(settings: Settings, log: Mapping[Partition, Bounds]) -> list[Message]:
    last = {name: Bounds(max(bound.start, bound.end - SAMPLE), bound.end) for name, bound in log.items()}
    return [message for chunk in consumer.read(settings.kafka, last) for message in chunk.records]


def partitioners(sample: Sequence[Message], partitions: int) -> Iterator[Finding]:
    """See whether each record is where its key belongs."""
    keyed = [(message.key() or b"", int(message.partition() or 0)) for message in sample]
    strangers = [(key, number) for key, number in keyed if PARTITIONERS[OURS](key, partitions) != number]
    without = sum(not key for key, _ in keyed)
    what = "readings partitioner"
    if not strangers:
        yield Finding(what, fine=True, seen=f"all of the last {len(keyed):,} records are where their keys belong")
        return
    explained = [
        name
        for name, choose in PARTITIONERS.items()
        if name != OURS and all(choose(key, partitions) == number for key, number in strangers)
    ]
    who = sorted({key.decode(errors="replace") for key, _ in strangers if key})[:NAMED]
    seen = f"{len(strangers):,} of the last {len(keyed):,} records are not where their keys belong"
    if who:
        seen += f", as those of {', '.join(map(ascii, who))}"
    if without:
        seen += f"; {without:,} have no key"
    if explained:
        seen += f". They fit {explained[0]}"
    yield Finding(
        what,
        fine=False,
        seen=seen,
        cure="A device in two partitions is watched by two detectors, and its order is lost. Whoever writes them has "
        "to give the device id as the key, and set partitioner=murmur2_random (librdkafka). After partitions were "
        "added, older records stay where they were: then this passes with them.",
    )


def device_clocks(sample: Sequence[Message]) -> Iterator[Finding]:
    """See whether devices send readings of a time that has not come."""
    ahead: dict[str, list[float]] = defaultdict(list)
    for message in sample:
        try:
            reading = decode_dict(message.value() or b"", READING)
        except PoisonError:
            continue
        accepted = from_micros(message.timestamp()[1] * 1000)
        ahead[str(reading["device_id"])].append((reading["ts"] - accepted).total_seconds())
    early = {device: median(seconds) for device, seconds in ahead.items() if median(seconds) > AHEAD_S}
    if not early:
        yield Finding("device clocks", fine=True, seen=f"none of {len(ahead):,} devices is ahead of its time")
        return
    worst = sorted(early, key=lambda device: -early[device])[:NAMED]
    told = ", ".join(f"{device!a} {_length(early[device])}" for device in worst)
    yield Finding(
        "device clocks",
        fine=False,
        seen=f"{len(early):,} of {len(ahead):,} devices are ahead of their time: {told}",
        cure="Let them keep time with NTP: what is more than an hour ahead is refused, and what comes in time "
        "afterwards is stored, but not watched, until their clocks' time has come.",
    )


def _length(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{math.floor(seconds / 60)} min"  # noqa: PLR2004  # two minutes


def loud_devices(sample: Sequence[Message]) -> Iterator[Finding]:
    """See whether one device sends most of what is in a partition."""
    by_partition: dict[int, Counter[bytes]] = defaultdict(Counter)
    for message in sample:
        by_partition[int(message.partition() or 0)][message.key() or b""] += 1
    loud = []
    for number, keys in sorted(by_partition.items()):
        (key, most), *_ = keys.most_common(1)
        if keys.total() >= FEWEST and most > LOUD * keys.total() and len(keys) > 1:
            loud.append(f"{key.decode(errors='replace')!a} {most / keys.total():.0%} of partition {number}")
    if loud:
        yield Finding(
            "readings balance",
            fine=True,
            seen=f"of the last records, {', '.join(loud)}",
            cure="A device has one partition, however many there are: if it falls behind, let it send less often.",
        )
