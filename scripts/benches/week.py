"""A week of a steady fleet: what its detectors ask about, in the order of time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa

from connectors.timescale.devices import DeviceKnown
from schemas.models import AnalysisRequest
from scripts.benches.command import Step
from scripts.benches.faulty import LEVEL, NOISE, Plan, fleet
from streams.agents.requests import request_for
from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Detector
from streams.detect.state import SeriesTable

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
MINUTES: Final = 7 * 24 * 60
FULL_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Class:
    """Devices of one class: what they measure, around which level, and how widely it varies in itself."""

    name: str
    metric: str
    unit: str
    level: float
    noise: float


# Levels of single devices lie a few percent around that of the class.
CLASSES: Final = (
    Class("pump", "pressure", "bar", 6.0, 0.05),
    Class("boiler", "temperature", "Cel", 72.0, 0.8),
    Class("refrigerator", "temperature", "Cel", 4.5, 0.3),
    Class("compressor", "vibration", "mm/s", 2.8, 0.12),
    Class("meter", "power", "W", 1450.0, 60.0),
)
APART: Final = 0.04


def requests(devices: int, step: Step, *, seed: int = 1) -> list[AnalysisRequest]:
    """Let the detectors see a week of so many devices, a reading a minute, and give what they ask about."""
    asked: list[AnalysisRequest] = []
    each = devices // len(CLASSES)
    for number, one in enumerate(CLASSES):
        step(f"a week of {each} devices of class {one.name}")
        asked += _of_class(one, each, seed + number)
    return sorted(asked, key=lambda request: request.accepted)


def _of_class(one: Class, devices: int, seed: int) -> list[AnalysisRequest]:
    plan = Plan(devices=devices, readings=MINUTES, interval_s=60.0, quiet=1440, apart=1440, share=0.25, seed=seed)
    shape = (fleet(plan).values - LEVEL) / NOISE
    levels = one.level * (1 + APART * np.random.default_rng(seed).standard_normal((devices, 1)))
    # A drop-out of the plan is a reading of zero; so it is here.
    values = np.where(shape == -LEVEL / NOISE, 0.0, np.round(levels + one.noise * shape, 3))
    names = pa.array([f"{one.name}-{device:04d}" for device in range(devices)], pa.string())
    metrics = pa.array([one.metric] * devices, pa.string())
    known = DeviceKnown(device_class=one.name, units={one.metric: one.unit})
    detector = Detector(SeriesTable(FULL_BYTES))
    partition = CLASSES.index(one)
    asked: list[AnalysisRequest] = []
    for at in range(MINUTES):
        when = datetime.fromtimestamp(START.timestamp() + 60 * at, UTC)
        ts = pa.array([when] * devices, pa.timestamp("us", "UTC"))
        rows = pa.RecordBatch.from_arrays([ts, names, metrics, pa.array(values[:, at]), ts], schema=ROW_SCHEMA)
        alarms = detector.take(rows, np.full(devices, at, dtype=np.int64))
        asked += [
            request_for(alarm, known, region="", topic="readings", partition=partition, accepted=when)
            for alarm in alarms
        ]
    return asked
