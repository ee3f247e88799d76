"""Detection is a function of the log: however it is cut, stopped and taken up again, states and alarms are the same."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Alarm, Detector
from streams.detect.deviation import (
    LEVEL_READINGS,
    LONG_READINGS,
    MOST,
    MOST_DEVIATIONS,
    MOST_SPREADS,
    PROBATION,
    REFRACTORY,
    SETTLING_READINGS,
    SHORT_READINGS,
    SPREAD_READINGS,
    THRESHOLD,
)
from streams.detect.state import RECENT, SeriesTable

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EXTREME = [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -5e-324, 2.2e-308, 0.0, -0.0, 1e150, -1e150, 1e-200]


class Row(NamedTuple):
    device: str
    metric: str
    ts: int
    value: float


def columns(rows: Sequence[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([row.ts for row in rows], pa.timestamp("us", "UTC")),
            pa.array([row.device for row in rows], pa.string()),
            pa.array([row.metric for row in rows], pa.string()),
            pa.array([row.value for row in rows], pa.float64()),
            pa.array([0] * len(rows), pa.timestamp("us", "UTC")),
        ],
        schema=ROW_SCHEMA,
    )


def take(detector: Detector, log: Sequence[Row], start: int, end: int) -> list[Alarm]:
    return detector.take(columns(log[start:end]), np.arange(start, end, dtype=np.int64))


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Rows of a few series: noise, jumps, pauses, late readings, constants, and what floats are at their worst."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = [("pump", "t"), ("pump", "p"), ("fan", "t"), ("fan/t", ""), ("", "fan/t")]
    # More than a block of them: the table grows, also while it is restored.
    names += [(f"device-{number}", "t") for number in range(600)]
    names = names[: draw(st.sampled_from([1, 1, 2, 3, 5, 605]))]
    length = draw(st.sampled_from([0, 17, 1500, 1500, 1500, 1500]))
    wild = draw(st.booleans())
    spreads = random.choice([0.0, 0.5, 1e-300, 1e100] if wild else [0.0, 0.5], size=len(names))
    clock = dict.fromkeys(names, 0)
    rows = []
    for at in range(length):
        which = int(random.integers(len(names)))
        name = names[which]
        clock[name] += int(random.choice([1, 60, 0, -90], p=[0.5, 0.4, 0.05, 0.05])) * 1_000_000
        value = 20.0 + spreads[which] * float(random.normal())
        if at % 500 > 450:
            value += 100.0
        if wild and random.random() < 0.02:
            value = random.choice(EXTREME)
        rows.append(Row(*name, clock[name], float(value)))
    return rows


def eventful() -> list[Row]:
    """Two series that stand still, but for jumps, with a late reading now and then."""
    rows = []
    for at in range(2400):
        metric, ts = ("t", "p")[at % 2], (at - 40 if at % 50 == 0 else at) * 1_000_000
        rows.append(Row("pump", metric, ts, 50.0 if at % 1200 > 1000 else 20.0))
    return rows


def test_the_eventful_log_raises_alarms() -> None:
    log = eventful()

    assert len(take(Detector(), log, 0, len(log))) == 2


# -- the reference: one reading of one series at a time, in plain Python -----------------------------------------------


@dataclass
class Series:
    seen: int = 0
    last_ts: int = -(2**63)
    quiet_until: int = 0
    level: float = 0.0
    spread: float = 0.0
    short: float = 0.0
    mean: float = 0.0
    variance: float = 0.0
    recent: list[tuple[int, float, int]] = field(default_factory=list)

    def take(self, ts: int, value: float, offset: int) -> tuple[float, float] | None:
        """Give the level and the spread that were expected, if it raises an alarm."""
        if ts <= self.last_ts:
            return None
        expected = (self.level, self.spread)
        gain = 1.0 / (self.seen + 1)
        held = min(max(value, -MOST), MOST)
        distance = abs(held - self.level) if self.seen else 0.0
        if distance == 0.0 or self.seen < SETTLING_READINGS:
            spreads = 0.0
        elif self.spread == 0.0:
            spreads = MOST_SPREADS
        else:
            spreads = min(distance / self.spread, MOST_SPREADS)
        self.short += max(1 / SHORT_READINGS, gain) * (spreads - self.short)
        excess = self.short - self.mean
        if self.variance > 0.0:
            z = min(excess / math.sqrt(self.variance), MOST_DEVIATIONS)
        else:
            z = MOST_DEVIATIONS if excess > 0.0 else 0.0
        unusual = z >= THRESHOLD and self.seen >= PROBATION
        alarm = unusual and self.seen >= self.quiet_until
        self.mean += max(1 / LONG_READINGS, gain) * excess
        self.variance += max(1 / LONG_READINGS, gain) * (excess * excess - self.variance)
        self.level += max(1 / LEVEL_READINGS, gain) * (held - self.level)
        self.spread += max(1 / SPREAD_READINGS, gain) * (distance - self.spread)
        if unusual:
            self.quiet_until = self.seen + REFRACTORY + 1
        self.recent = [*self.recent, (ts, value, offset)][-RECENT:]
        self.last_ts = ts
        self.seen += 1
        return expected if alarm else None


def bits(number: float) -> str:
    return float(number).hex()


def agree(table: SeriesTable, reference: dict[tuple[str, str], Series]) -> None:
    assert [table.name(index) for index in range(len(table))] == list(reference)
    for row, series in zip(table.rows, reference.values(), strict=False):
        for name in ("seen", "last_ts", "quiet_until"):
            assert int(row[name]) == getattr(series, name)
        for name in ("level", "spread", "short", "mean", "variance"):
            assert bits(row[name]) == bits(getattr(series, name))
            assert math.isfinite(row[name])
        for back, (ts, value, offset) in enumerate(reversed(series.recent), start=1):
            sample = row["recent"][(series.seen - back) % RECENT]
            assert (int(sample["ts"]), int(sample["offset"])) == (ts, offset)
            assert bits(sample["value"]) == bits(value)


@SETTINGS
@given(logs())
@example(eventful())
def test_the_compiled_loop_gives_what_plain_python_gives(log: list[Row]) -> None:
    reference: dict[tuple[str, str], Series] = {}
    raised = []
    for offset, row in enumerate(log):
        series = reference.setdefault((row.device, row.metric), Series())
        expected = series.take(row.ts, row.value, offset)
        if expected is not None:
            raised.append((row.device, row.metric, offset, len(series.recent), row.value, *expected))

    detector = Detector()
    alarms = take(detector, log, 0, len(log))

    agree(detector.table, reference)
    assert [
        (each.device_id, each.metric, each.last_offset, len(each.samples), each.value, each.baseline, each.spread)
        for each in alarms
    ] == raised
    assert all(0.5 <= alarm.score <= 1.0 and alarm.samples[-1].value == alarm.value for alarm in alarms)
    event(f"alarms: {min(len(alarms), 3)}")


# -- cuts, snapshots, crashes ------------------------------------------------------------------------------------------


# How many rows the next batch has, and what happens after it.
steps = st.tuples(
    st.sampled_from([1, 2, 13, 50, 300]) | st.integers(1, 200),
    st.sampled_from(["go on", "go on", "snapshot", "crash"]),
)


def state(table: SeriesTable) -> tuple[list[tuple[str, str]], bytes]:
    return [table.name(index) for index in range(len(table))], table.rows[: len(table)].tobytes()


@SETTINGS
@given(logs(), st.lists(steps, max_size=40))
@example(eventful(), [])
@example(eventful(), [(1000, "snapshot"), (10, "snapshot"), (5, "crash"), (300, "go on"), (300, "crash")])
@example(eventful(), [(1, "snapshot")] * 1200)
@example(eventful(), [(number % 97, "crash" if number % 5 else "snapshot") for number in range(400)])
def test_states_and_alarms_do_not_depend_on_cuts_snapshots_and_crashes(
    log: list[Row], schedule: list[tuple[int, str]]
) -> None:
    whole = Detector()
    expected = {alarm.last_offset: alarm for alarm in take(whole, log, 0, len(log))}

    detector = Detector()
    alarms: dict[int, Alarm] = {}
    blocks: dict[int, bytes] = {}
    position = covered = 0
    crashes = 0
    for size, what in [*schedule, (sys.maxsize, "go on")]:
        end = min(len(log), position + size)
        for alarm in take(detector, log, position, end):
            # What is delivered again raises the same again.
            assert alarms.setdefault(alarm.last_offset, alarm) == alarm
        position = end
        if what == "snapshot":
            blocks |= detector.table.changed_blocks()
            detector.table.saved()
            covered = position
        elif what == "crash":
            detector = Detector(SeriesTable.restore(blocks))
            position = covered
            crashes += 1

    event(f"alarms: {min(len(expected), 3)}, crashes: {min(crashes, 1)}")
    assert alarms == expected
    assert state(detector.table) == state(whole.table)
    assert state(SeriesTable.restore(blocks | detector.table.changed_blocks())) == state(whole.table)


@SETTINGS
@given(st.lists(st.sampled_from(EXTREME) | st.floats(allow_nan=False, allow_infinity=False), max_size=400))
def test_no_value_makes_a_state_that_is_not_finite(values: list[float]) -> None:
    detector = Detector()

    alarms = take(detector, [Row("d", "m", at, value) for at, value in enumerate(values)], 0, len(values))

    for name in ("level", "spread", "short", "mean", "variance"):
        assert np.isfinite(detector.table.rows[name]).all()
    for alarm in alarms:
        assert all(math.isfinite(number) for number in (alarm.score, alarm.baseline, alarm.spread))
