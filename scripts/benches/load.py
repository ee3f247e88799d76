"""The load of the bench: readings of many devices, ten a second each, as Avro in the topic `readings`."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import fastavro
import numpy as np

from connectors.kafka.producer import Outgoing
from schemas.codec import frame
from schemas.registry import READING
from schemas.topics import READINGS

METRICS = ("temperature", "vibration", "pressure", "humidity", "current")
INTERVAL = timedelta(milliseconds=100)
# Of a device's level from one to the next, and of the noise around it.
LEVEL, SWING, NOISE = 20.0, 5.0, 0.3


@dataclass(frozen=True, slots=True)
class Load:
    """So many readings of each device, so many metrics in each. The same load has the same values every time."""

    metrics: int
    readings: int
    devices: int = 1000

    @property
    def messages(self) -> int:
        """How many messages it has."""
        return self.readings * self.devices

    @property
    def rows(self) -> int:
        """How many rows they become."""
        return self.messages * self.metrics

    def records(self, end: datetime | None = None) -> Iterator[Outgoing]:
        """Give the messages: devices in turns, the last readings taken at `end` (now), no key of a row twice."""
        start = (end or datetime.now(UTC)) - self.readings * INTERVAL
        random = np.random.default_rng(1)
        names = [f"bench-{number:06d}" for number in range(self.devices)]
        keys = [name.encode() for name in names]
        metrics = METRICS[: self.metrics]
        level = LEVEL + SWING * random.standard_normal((self.devices, self.metrics))
        head = frame(READING.id)
        for step in range(self.readings):
            ts = start + step * INTERVAL
            values = np.round(level + NOISE * random.standard_normal(level.shape), 3).tolist()
            for key, name, row in zip(keys, names, values, strict=True):
                reading = {"device_id": name, "ts": ts, "metrics": dict(zip(metrics, row, strict=True)), "seq": step}
                out = io.BytesIO()
                out.write(head)
                fastavro.schemaless_writer(out, READING.parsed, reading)
                yield Outgoing(READINGS.name, key, out.getvalue())
