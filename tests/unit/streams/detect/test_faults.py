"""What each tier finds of faults put into a daily rhythm with noise, and how often it cries wolf without any."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Alarm, Detector
from streams.detect.layout import FULL
from streams.detect.state import SeriesTable

Floats = npt.NDArray[np.float64]
Fault = Callable[[Floats], None]

DEVICES = 20
INTERVAL_S = 60
READINGS = 4032
FAULT = 3000
NOISE = 0.3
# In that many readings from the fault on.
FOUND_WITHIN = 60


def rhythm(seed: int) -> Floats:
    random = np.random.default_rng(seed)
    turn = 2.0 * np.pi * np.arange(READINGS) * INTERVAL_S / 86_400.0
    values: Floats = 20.0 + 5.0 * np.sin(turn + random.uniform(0, 2 * np.pi)) + NOISE * random.normal(size=READINGS)
    return values


def spike(values: Floats) -> None:
    values[FAULT] += 20 * NOISE


def dropout(values: Floats) -> None:
    values[FAULT : FAULT + 2] = 0.0


def level(values: Floats) -> None:
    values[FAULT:] += 10 * NOISE


def variance(values: Floats) -> None:
    values[FAULT:] += 4 * NOISE * np.random.default_rng(7).normal(size=READINGS - FAULT)


def stuck(values: Floats) -> None:
    values[FAULT:] = values[FAULT - 1]


def shifted(values: Floats) -> None:
    """Half a day too early."""
    half = 12 * 3600 // INTERVAL_S
    values[FAULT:] = np.resize(values[FAULT - half : FAULT], READINGS - FAULT)


def watch(values: Floats, *, full: bool) -> list[Alarm]:
    detector = Detector(SeriesTable(FULL.itemsize if full else 0))
    ts = np.arange(1, READINGS + 1, dtype=np.int64) * INTERVAL_S * 1_000_000
    columns = [pa.array(ts, pa.timestamp("us", "UTC")), pa.array(["pump"] * READINGS), pa.array(["t"] * READINGS)]
    rows = pa.RecordBatch.from_arrays([*columns, pa.array(values), columns[0]], schema=ROW_SCHEMA)
    return detector.take(rows, np.arange(READINGS, dtype=np.int64))


SEEN_AT_ONCE = {"deviation", "pattern", "season"}


@pytest.mark.parametrize(
    ("fault", "light", "kinds"),
    [
        # A single reading is hard to see for the light tier, which knows only how far readings usually are apart.
        (spike, 15, {"spike"}),
        (dropout, 19, {"dropout"}),
        (level, 19, {"level"}),
        (variance, 19, {"variance", "spike"}),
        (stuck, 19, {"flat-line"}),
        (shifted, 19, {"variance"}),
    ],
)
@pytest.mark.parametrize("in_full", [False, True])
def test_a_fault_is_found(fault: Fault, light: int, kinds: set[str], in_full: bool) -> None:  # noqa: FBT001
    found = []
    for seed in range(DEVICES):
        values = rhythm(seed)
        fault(values)
        found += [alarm for alarm in watch(values, full=in_full) if 0 <= alarm.offset - FAULT < FOUND_WITHIN][:1]
    assert len(found) >= (19 if in_full else light)
    assert {alarm.kind for alarm in found} <= kinds | SEEN_AT_ONCE


@pytest.mark.parametrize("full", [False, True])
def test_without_a_fault_there_is_an_alarm_in_ten_thousand_readings_at_the_most(full: bool) -> None:  # noqa: FBT001
    alarms = sum(len(watch(rhythm(100 + seed), full=full)) for seed in range(DEVICES))
    assert alarms <= DEVICES * READINGS / 10_000


def test_what_stands_still_is_said_to() -> None:
    kinds = {alarm.kind for seed in range(DEVICES) for alarm in _stuck(seed)}
    assert "flat-line" in kinds


def _stuck(seed: int) -> list[Alarm]:
    values = rhythm(seed)
    stuck(values)
    return watch(values, full=False)
