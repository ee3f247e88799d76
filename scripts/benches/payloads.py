"""What devices say in the benches of the ways in: the same readings as MQTT messages, as HTTP bodies, as Kafka records.

Readings are of 1,000 devices in turns, with one metric each, about 100 bytes as JSON.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from connectors.kafka.producer import Outgoing
from schemas import codec
from schemas.models import Reading
from schemas.topics import READINGS
from scripts.benches.load import INTERVAL, LEVEL, METRICS, NOISE

DEVICES = 1000


def readings(count: int, end: datetime | None = None) -> Iterator[Reading]:
    """Give so many readings, ten a second of each device, the last taken at `end` (now); no key of a row twice."""
    rounds = -(-count // DEVICES)
    start = (end or datetime.now(UTC)) - rounds * INTERVAL
    values = np.round(LEVEL + NOISE * np.random.default_rng(1).standard_normal(count), 3).tolist()
    for number, value in enumerate(values):
        step, device = divmod(number, DEVICES)
        # A microsecond for each device, so that the messages differ as those of real devices do.
        ts = start + step * INTERVAL + timedelta(microseconds=device)
        yield Reading(device_id=f"bench-{device:06d}", ts=ts, metrics={METRICS[0]: value}, seq=step)


def _native(reading: Reading) -> dict[str, object]:
    return {"ts": reading.ts.isoformat(), "metrics": reading.metrics, "seq": reading.seq}


def mqtt(count: int) -> list[tuple[str, bytes]]:
    """Give MQTT messages: topic, and payload in the native JSON form."""
    return [
        (f"devices/{reading.device_id}/readings", json.dumps(_native(reading)).encode()) for reading in readings(count)
    ]


def http(count: int, batch: int) -> list[bytes]:
    """Give bodies for the gateway: JSON lists of `batch` readings, the last of what is left."""
    items = [{"device_id": reading.device_id, **_native(reading)} for reading in readings(count)]
    return [json.dumps(items[first : first + batch]).encode() for first in range(0, count, batch)]


def kafka(count: int) -> list[Outgoing]:
    """Give records for the topic `readings`, encoded beforehand."""
    return [Outgoing(READINGS.name, reading.device_id.encode(), codec.encode(reading)) for reading in readings(count)]
