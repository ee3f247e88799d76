"""What a tier of detection takes: CPU time a reading, and memory a series, with one reading of each series a batch."""

import gc
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scripts.benches.command import Step
from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Detector
from streams.detect.full import EACH_WINDOW
from streams.detect.layout import FULL, WINDOWS
from streams.detect.state import SeriesTable

SERIES = 1000
INTERVAL_US = 300_000_000
# Until all that the full tier remembers is there, and a little longer.
WARM_ROUNDS = EACH_WINDOW * WINDOWS + 100
ROUNDS = 100
NOISE = 0.3


@dataclass(frozen=True, slots=True)
class Tier:
    """What was found: of each run the CPU time a reading in microseconds, and the bytes a series in the end."""

    cpu_us: tuple[float, ...]
    series_bytes: float


def measure(name: str, runs: int, step: Step, *, full: bool) -> Tier:
    """Let a detector see so many readings of each series that it remembers all it can, then measure."""
    step(f"{name}: cost")
    batches = _batches()
    next(batches)  # what the batches themselves share is not the detector's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        detector = Detector(SeriesTable(SERIES * FULL.itemsize if full else 0))
        for _ in range(2):
            _take(detector, next(batches))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    for _ in range(WARM_ROUNDS):
        _take(detector, next(batches))
    cpu_us = tuple(
        sum(_take(detector, next(batches)) for _ in range(ROUNDS)) * 1e6 / (ROUNDS * SERIES) for _ in range(runs)
    )
    return Tier(cpu_us, taken / SERIES)


def _take(detector: Detector, batch: pa.RecordBatch) -> float:
    """Give the CPU seconds that a batch costs."""
    offsets = np.arange(SERIES, dtype=np.int64)
    began = time.process_time()
    detector.take(batch, offsets)
    return time.process_time() - began


def _batches() -> Iterator[pa.RecordBatch]:
    """Give batches without end: a daily rhythm and noise, five minutes apart."""
    random = np.random.default_rng(1)
    devices = pa.array([f"bench-{number:07d}" for number in range(SERIES)], pa.string())
    metrics = pa.array(["temperature"] * SERIES, pa.string())
    phases = random.uniform(0.0, 2.0 * np.pi, SERIES)
    number = 0
    while True:
        number += 1
        ts = pa.array(np.full(SERIES, number * INTERVAL_US), pa.timestamp("us", "UTC"))
        turn = 2.0 * np.pi * (number * INTERVAL_US % 86_400_000_000) / 86_400_000_000
        values = 20.0 + 5.0 * np.sin(turn + phases) + NOISE * random.standard_normal(SERIES)
        yield pa.RecordBatch.from_arrays([ts, devices, metrics, pa.array(values), ts], schema=ROW_SCHEMA)
