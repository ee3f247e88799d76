"""Fleets of any size for the bench `devices`: their log in memory, and the part of a worker that needs no server."""

import io
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import fastavro
import numpy as np

from schemas.codec import frame
from schemas.registry import READING
from schemas.topics import DEFAULT_PARTITIONS, READINGS
from streams.agents.sightings import Sightings
from streams.columns.batch import RawBatch
from streams.columns.decode import decode
from streams.columns.flatten import flatten
from streams.columns.validate import validate
from streams.detect.detector import Detector

INTERVAL_US = 100_000
METRIC = "temperature"
NOISE = 0.3


class Fleet:
    """Devices that report in turns, each ten times a second; their readings, batch by batch, as Kafka gives them.

    Device i belongs to partition i modulo the number of partitions, and a batch is of one partition.
    """

    def __init__(self, devices: int, batch: int, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Make the names and the levels; no reading yet."""
        self.devices = devices
        self._batch = batch
        self._random = np.random.default_rng(1)
        self._start = int(datetime.now(UTC).timestamp() * 1e6)
        names = [[f"bench-{number:07d}" for number in range(part, devices, partitions)] for part in range(partitions)]
        self._names = [part for part in names if part]
        self._levels = [20.0 + 5.0 * self._random.standard_normal(len(part)) for part in self._names]
        self._ends = [0] * len(self._names)

    def batches(self, readings: int) -> Iterator[RawBatch]:
        """Give at least so many more readings, in whole batches, the partitions in turns."""
        given = 0
        while given < readings:
            for partition in range(len(self._names)):
                yield self._next(partition)
                given += self._batch

    def _next(self, partition: int) -> RawBatch:
        names, levels = self._names[partition], self._levels[partition]
        first = self._ends[partition]
        self._ends[partition] = first + self._batch
        offsets = np.arange(first, first + self._batch, dtype=np.int64)
        rounds, devices = np.divmod(offsets, len(names))
        ts = self._start + rounds * INTERVAL_US
        values = np.round(levels[devices] + NOISE * self._random.standard_normal(self._batch), 3)
        keys = [names[device].encode() for device in devices.tolist()]
        bodies = [
            _encoded(names[device], at, value)
            for device, at, value in zip(devices.tolist(), ts.tolist(), values.tolist(), strict=True)
        ]
        return RawBatch(READINGS.name, partition, offsets, ts, keys, bodies)


_HEAD = frame(READING.id)


def _encoded(device_id: str, ts: int, value: float) -> bytes:
    out = io.BytesIO()
    out.write(_HEAD)
    fastavro.schemaless_writer(out, READING.parsed, {"device_id": device_id, "ts": ts, "metrics": {METRIC: value}})
    return out.getvalue()


@dataclass
class Worker:
    """What a worker does with batches before and beside the database. `…_bytes` grow while tracemalloc traces."""

    detectors: dict[int, Detector] = field(default_factory=dict)
    sightings: Sightings = field(default_factory=Sightings)
    detector_bytes: int = 0
    sightings_bytes: int = 0

    def take(self, batch: RawBatch) -> float:
        """Take one batch and give the CPU seconds that it cost."""
        detector = self.detectors.setdefault(batch.partition, Detector())
        began = time.process_time()
        records, invalid = validate(decode(batch)[0], batch)
        rows = flatten(records, batch)
        held = _traced()
        detector.take(rows.columns, rows.offsets)
        held_after = _traced()
        self.sightings.of(records, batch)
        self.sightings_bytes += _traced() - held_after
        self.detector_bytes += held_after - held
        cost = time.process_time() - began
        if invalid or len(records) != len(batch):
            raise ValueError("the bench's own readings are not accepted")
        return cost


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
