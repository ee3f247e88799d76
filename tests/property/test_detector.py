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
from streams.detect import full, light, silence
from streams.detect.detector import Alarm, Detector
from streams.detect.kinds import MISSING
from streams.detect.layout import FULL, LAGS, RECENT, SHAPES, WINDOWS
from streams.detect.state import SeriesTable

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EXTREME = [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -5e-324, 2.2e-308, 0.0, -0.0, 1e150, -1e150, 1e-200]


class Row(NamedTuple):
    device: str
    metric: str
    ts: int
    value: float
    accepted: int = 0


def columns(rows: Sequence[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([row.ts for row in rows], pa.timestamp("us", "UTC")),
            pa.array([row.device for row in rows], pa.string()),
            pa.array([row.metric for row in rows], pa.string()),
            pa.array([row.value for row in rows], pa.float64()),
            pa.array([row.accepted for row in rows], pa.timestamp("us", "UTC")),
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
    accepted = 0
    rows = []
    for at in range(length):
        which = int(random.integers(len(names)))
        # From time to time some say nothing.
        if at % 800 > 700:
            which = 0
        accepted += int(random.choice([0, 3, 12, -5], p=[0.4, 0.4, 0.15, 0.05])) * 1_000_000
        name = names[which]
        clock[name] += int(random.choice([1, 60, 0, -90], p=[0.5, 0.4, 0.05, 0.05])) * 1_000_000
        value = 20.0 + spreads[which] * float(random.normal())
        if at % 500 > 450:
            value += 100.0
        if wild and random.random() < 0.02:
            value = random.choice(EXTREME)
        rows.append(Row(*name, clock[name], float(value), accepted))
    return rows


def eventful() -> list[Row]:
    """Two series that stand still, but for jumps, with a late reading now and then."""
    rows = []
    for at in range(2400):
        metric, ts = ("t", "p")[at % 2], (at - 40 if at % 50 == 0 else at) * 1_000_000
        rows.append(Row("pump", metric, ts, 50.0 if at % 1200 > 1000 else 20.0))
    return rows


def quiet() -> list[Row]:
    """Two metrics of a device and another device; the first device stops for a while, and then for good."""
    names = [("pump", "t"), ("pump", "p"), ("fan", "t")]
    rows = []
    for at in range(3000):
        device, metric = names[at % 3]
        if device == "fan" or not (1200 < at < 1500 or at > 2500):
            rows.append(Row(device, metric, at * 1_000_000, float(at % 7), at * 3_000_000))
    return rows


def test_the_quiet_log_raises_alarms() -> None:
    log = quiet()

    alarms = take(Detector(), log, 0, len(log))

    assert [(alarm.device_id, alarm.kind) for alarm in alarms] == [("pump", MISSING)] * 2


def test_the_eventful_log_raises_alarms() -> None:
    log = eventful()

    assert len(take(Detector(), log, 0, len(log))) == 2


# -- the reference: one reading of one series at a time, in plain Python -----------------------------------------------


@dataclass
class Calibration:
    short: float = 0.0
    mean: float = 0.0
    variance: float = 0.0

    def take(self, score: float, gain: float, readings: float) -> float:
        self.short += max(1 / readings, gain) * (score - self.short)
        excess = self.short - self.mean
        squared = 0.0
        if excess > 0.0:
            squared = min(excess * excess / self.variance, light.MOST_SQUARED) if self.variance else light.MOST_SQUARED
        self.mean += max(1 / light.LONG_READINGS, gain) * excess
        self.variance += max(1 / light.LONG_READINGS, gain) * (excess * excess - self.variance)
        return squared * squared


@dataclass
class Memory:
    """The full tier of a series."""

    points: int = 0
    last_ts: int = 0
    point_ts: int = 0
    means: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=lambda: [0.0] * 5)
    long: float = 0.0
    mean: float = 0.0
    variance: float = 0.0
    shape: Calibration = field(default_factory=Calibration)
    window: Calibration = field(default_factory=Calibration)
    values: list[float] = field(default_factory=list)
    shapes: list[list[int]] = field(default_factory=list)
    windows: list[list[np.float32]] = field(default_factory=list)

    def take(self, ts: int, value: float) -> float | None:
        """Give the sum of the two scores, if the reading is a point and the series known."""
        late = self.points > 0 and ts <= self.last_ts
        self.last_ts = ts if self.points == 0 else max(ts, self.last_ts)
        if late or (self.points > 0 and ts - self.point_ts < full.POINT_US):
            return None
        self.point_ts = ts
        held = min(max(value, -full.MOST), full.MOST)
        gain = 1 / (self.points + 1)
        shape = self.shape.take(self._shape(held, gain), gain, full.SHAPE_POINTS)
        window = self.window.take(self._window(ts, held, gain), gain, full.WINDOW_POINTS)
        self.points += 1
        return shape + window if self.points > full.PROBATION else None

    def _shape(self, held: float, gain: float) -> float:
        root = math.copysign(math.sqrt(abs(held)), held)
        if self.points == 0:
            self.long, self.means = root, [root] * 4
        levels = [root, *self.means, self.long]
        code = []
        for scale in range(5):
            part = levels[scale] - levels[scale + 1]
            self.squares[scale] += max(1 / full.LONG_POINTS, gain) * (part * part - self.squares[scale])
            usual = math.sqrt(self.squares[scale])
            inside = min(max(part / usual, -full.SHAPE_LIMIT), full.SHAPE_LIMIT) if usual > 0.0 else 0.0
            code.append(math.floor(inside * full.STEPS + 0.5))
        apart = sorted(sum((one - two) ** 2 for one, two in zip(code, past, strict=True)) for past in self.shapes)
        if self.points % full.EACH_SHAPE == 0:
            self.shapes = [*self.shapes, code][-SHAPES:]
        for scale, points in enumerate(full.SCALE_POINTS):
            self.means[scale] += max(1 / points, gain) * (root - self.means[scale])
        self.long += max(1 / full.LONG_POINTS, gain) * (root - self.long)
        return math.sqrt(apart[1] / 5) / full.STEPS if len(apart) > 1 else 0.0

    def _window(self, ts: int, held: float, gain: float) -> float:
        apart = held - self.mean
        self.mean += max(1 / full.LONG_POINTS, gain) * apart
        self.variance += max(1 / full.LONG_POINTS, gain) * (apart * apart - self.variance)
        spread = math.sqrt(self.variance)
        self.values = [*self.values, held]
        if len(self.values) < LAGS:
            return 0.0
        turn = (ts % full.DAY_US) / full.DAY_US
        from_origin = [value - self.values[0] for value in reversed(self.values[-LAGS:])]
        waves = [spread * full.wave(turned) for turned in (turn, (turn + 0.25) % 1.0)]
        now = [np.float32(min(max(part, -full.MOST_SINGLE), full.MOST_SINGLE)) for part in [*from_origin, *waves]]
        distances = []
        for past in self.windows:
            total = np.float32(0)
            for one, two in zip(past, now, strict=True):
                total += (one - two) * (one - two)
            distances.append(total)
        if self.points % full.EACH_WINDOW == 0:
            self.windows = [*self.windows, now][-WINDOWS:]
        if len(distances) < 3 or spread == 0.0:
            return 0.0
        return math.sqrt(sorted(distances)[2] / LAGS) / spread


@dataclass
class Series:
    """The light tier of a series, and its memory if it has one."""

    memory: Memory | None
    seen: int = 0
    last_ts: int = -(2**63)
    quiet_until: int = 0
    quiet_points: int = 0
    quiet_ts: int = -(2**63)
    level: float = 0.0
    spread: float = 0.0
    slow: float = 0.0
    drift: float = 0.0
    origin: float = 0.0
    residual: float = 0.0
    run: int = 0
    longest_run: int = 0
    deviation: Calibration = field(default_factory=Calibration)
    shift: Calibration = field(default_factory=Calibration)
    season: Calibration = field(default_factory=Calibration)
    hours: dict[int, tuple[float, int]] = field(default_factory=dict)
    heard: int = 0
    longest_silence: int = 0
    silent: int = 0
    recent: list[tuple[int, float, int]] = field(default_factory=list)

    def falls_silent(self, heard: int) -> bool:
        """Say whether it has just become silent."""
        limit = max(silence.SILENT_TICKS, silence.SILENT_TIMES * self.longest_silence)
        if self.silent or self.seen < silence.PROBATION or heard - self.heard <= limit:
            return False
        self.silent, self.longest_silence = 1, limit
        return True

    def speaks(self, heard: int) -> None:
        if self.seen and not self.silent:
            self.longest_silence = max(self.longest_silence, heard - self.heard)
        self.heard, self.silent = heard, 0

    def take(self, ts: int, value: float, offset: int) -> tuple[float, float] | None:
        """Give the level and the spread that were expected, if it raises an alarm."""
        points = -1 if self.memory is None else self.memory.points
        pattern = None if self.memory is None else self.memory.take(ts, value)
        if ts <= self.last_ts:
            return None
        held = min(max(value, -light.MOST), light.MOST)
        if self.seen == 0:
            self.level = self.slow = self.origin = held
        expected = (self.level, self.spread)
        gain = 1 / (self.seen + 1)
        distance, drift = abs(held - self.level), abs(self.level - self.slow)
        spreads = light.MOST_SPREADS if distance > 0.0 else 0.0
        if distance > 0.0 and self.spread > 0.0:
            spreads = min(distance / self.spread, light.MOST_SPREADS)
        if self.seen < light.SETTLING_READINGS:
            spreads = 0.0
        deviation = self.deviation.take(spreads, gain, light.DEVIATION_READINGS)
        shift = self.shift.take(times(drift, self.drift), gain, light.SHIFT_READINGS)
        season = self.season.take(self._of_the_day(ts, held, gain), gain, light.SEASON_READINGS)
        self.level += max(1 / light.LEVEL_READINGS, gain) * (held - self.level)
        self.slow += max(1 / light.SLOW_READINGS, gain) * (held - self.slow)
        self.spread += max(1 / light.SPREAD_READINGS, gain) * (distance - self.spread)
        self.drift += max(1 / light.LONG_READINGS, gain) * (drift - self.drift)
        if self.recent and value == self.recent[-1][1]:
            self.run += 1
        else:
            self.longest_run, self.run = max(self.longest_run, self.run), 0
        flat = self.run < self.seen and self.run == max(light.FLAT_READINGS, light.FLAT_TIMES * self.longest_run)
        threshold = light.THRESHOLD if points < 0 else light.THRESHOLD_BESIDE_FULL
        ratios = [(deviation + shift + season) / threshold**4]
        if pattern is not None:
            ratios.append((pattern + light.SEASON_BESIDE_FULL * season) / light.THRESHOLD_FULL**4)
        unusual = (max(ratios) >= 1.0 or flat) and self.seen >= light.PROBATION
        quiet = self.seen < self.quiet_until or ts < self.quiet_ts or 0 <= points < self.quiet_points
        if unusual:
            self.quiet_until = self.seen + light.REFRACTORY + 1
            self.quiet_points = max(points, 0) + light.REFRACTORY + 1
            self.quiet_ts = ts + light.QUIET_US
        self.recent = [*self.recent, (ts, value, offset)][-RECENT:]
        self.last_ts = ts
        self.seen += 1
        return expected if unusual and not quiet else None

    def _of_the_day(self, ts: int, held: float, gain: float) -> float:
        hour = (ts % light.DAY_US) // light.HOUR_US
        mean, seen = self.hours.get(hour, (0.0, 0))
        distance = abs(held - (self.origin + mean)) if seen else 0.0
        score = times(distance, self.residual)
        self.residual += max(1 / light.LONG_READINGS, gain) * (distance - self.residual)
        hour_gain = min((ts - self.last_ts) * 1e-6, light.READING_S) * (1 / light.HOUR_S) if self.seen else 0.0
        hour_gain = hour_gain if hour_gain * (seen + 1) >= 1 else 1 / (seen + 1)
        from_origin = min(max(held - self.origin, -light.MOST_SINGLE), light.MOST_SINGLE)
        mean += hour_gain * (from_origin - mean)
        self.hours[hour] = (float(np.float32(mean)), seen + 1)
        return score


def times(distance: float, usual: float) -> float:
    return min(distance / usual, light.MOST_SPREADS) if usual > 0.0 else 0.0


def bits(number: float) -> str:
    return float(number).hex()


INTEGERS = (
    *("seen", "last_ts", "quiet_until", "quiet_points", "quiet_ts"),
    *("run", "longest_run", "heard", "longest_silence", "silent"),
)
FLOATS = ("level", "spread", "slow", "drift", "origin", "residual")
SCORES = ("deviation", "shift", "season")


def agree(table: SeriesTable, reference: dict[tuple[str, str], Series]) -> None:
    assert [table.name(index) for index in range(len(table))] == list(reference)
    for row, series in zip(table.rows, reference.values(), strict=False):
        assert [int(row[name]) for name in INTEGERS] == [getattr(series, name) for name in INTEGERS]
        assert [bits(row[name]) for name in FLOATS] == [bits(getattr(series, name)) for name in FLOATS]
        assert [same_calibration(row[name], getattr(series, name)) for name in SCORES] == [True] * len(SCORES)
        for hour, (mean, seen) in series.hours.items():
            assert (bits(row["hours"][hour]["mean"]), int(row["hours"][hour]["seen"])) == (bits(mean), seen)
        for back, (ts, value, offset) in enumerate(reversed(series.recent), start=1):
            sample = row["recent"][(series.seen - back) % RECENT]
            assert (int(sample["ts"]), int(sample["offset"])) == (ts, offset)
            assert bits(sample["value"]) == bits(value)
        assert (int(row["full"]) >= 0) == (series.memory is not None)
        if series.memory is not None:
            memory = series.memory
            assert (int(row["points"]), int(row["point_ts"])) == (memory.points, memory.point_ts)
            agree_full(table.full[int(row["full"])], memory)


def agree_full(row: np.void, memory: Memory) -> None:
    assert [bits(row[name]) for name in ("long", "mean", "variance")] == [
        bits(number) for number in (memory.long, memory.mean, memory.variance)
    ]
    assert same_calibration(row["shape"], memory.shape)
    assert same_calibration(row["window"], memory.window)


def same_calibration(row: np.void, calibration: Calibration) -> bool:
    return [bits(row[name]) for name in ("short", "mean", "variance")] == [
        bits(number) for number in (calibration.short, calibration.mean, calibration.variance)
    ]


@SETTINGS
@given(logs(), st.sampled_from([0, 2]))
@example(eventful(), 0)
@example(eventful(), 1)
@example(quiet(), 0)
def test_the_compiled_loops_give_what_plain_python_gives(log: list[Row], in_full: int) -> None:
    reference: dict[tuple[str, str], Series] = {}
    raised: list[tuple[object, ...]] = []
    tick, heard = -(2**63), 0
    for offset, row in enumerate(log):
        if row.accepted // silence.TICK_US > tick:
            tick, heard = row.accepted // silence.TICK_US, heard + 1
            fallen = [name for name, series in reference.items() if series.falls_silent(heard)]
            told = [name for name, series in reference.items() if series.silent and name not in fallen]
            for name in fallen:
                since = [abs(reference[name].heard - reference[other].heard) for other in told if other[0] == name[0]]
                if min(since, default=math.inf) > silence.SILENT_TICKS:
                    raised.append((*name, offset, MISSING))
                told.append(name)
        memory = Memory() if len(reference) < in_full else None
        series = reference.setdefault((row.device, row.metric), Series(memory))
        series.speaks(heard)
        expected = series.take(row.ts, row.value, offset)
        if expected is not None:
            raised.append((row.device, row.metric, offset, len(series.recent), row.value, *expected))

    detector = Detector(SeriesTable(in_full * FULL.itemsize))
    alarms = take(detector, log, 0, len(log))

    agree(detector.table, reference)
    assert sorted(map(said, alarms), key=str) == sorted(raised, key=str)
    assert [alarm.offset for alarm in alarms] == sorted(alarm.offset for alarm in alarms)
    assert all(0.5 <= alarm.score <= 1.0 and alarm.samples[-1].value == alarm.value for alarm in alarms)
    event(f"alarms: {min(len(alarms), 3)}")


def said(alarm: Alarm) -> tuple[object, ...]:
    if alarm.kind == MISSING:
        return (alarm.device_id, alarm.metric, alarm.offset, MISSING)
    assert alarm.offset == alarm.last_offset
    seen = (alarm.device_id, alarm.metric, alarm.offset, len(alarm.samples))
    return (*seen, alarm.value, alarm.baseline, alarm.spread)


# -- cuts, snapshots, crashes ------------------------------------------------------------------------------------------


# How many rows the next batch has, and what happens after it.
steps = st.tuples(
    st.sampled_from([1, 2, 13, 50, 300]) | st.integers(1, 200),
    st.sampled_from(["go on", "go on", "snapshot", "crash"]),
)


def state(table: SeriesTable) -> tuple[list[tuple[str, str]], bytes, bytes]:
    return [table.name(index) for index in range(len(table))], table.rows[: len(table)].tobytes(), table.full.tobytes()


@SETTINGS
@given(logs(), st.lists(steps, max_size=40))
@example(eventful(), [])
@example(eventful(), [(1000, "snapshot"), (10, "snapshot"), (5, "crash"), (300, "go on"), (300, "crash")])
@example(eventful(), [(1, "snapshot")] * 1200)
@example(quiet(), [(1300, "snapshot"), (100, "crash"), (7, "snapshot"), (40, "crash")])
@example(eventful(), [(number % 97, "crash" if number % 5 else "snapshot") for number in range(400)])
def test_states_and_alarms_do_not_depend_on_cuts_snapshots_and_crashes(
    log: list[Row], schedule: list[tuple[int, str]]
) -> None:
    memory = 2 * FULL.itemsize
    whole = Detector(SeriesTable(memory))
    expected = {(alarm.offset, alarm.device_id, alarm.metric): alarm for alarm in take(whole, log, 0, len(log))}

    detector = Detector(SeriesTable(memory))
    alarms: dict[tuple[int, str, str], Alarm] = {}
    blocks: dict[int, bytes] = {}
    position = covered = 0
    crashes = 0
    for size, what in [*schedule, (sys.maxsize, "go on")]:
        end = min(len(log), position + size)
        for alarm in take(detector, log, position, end):
            # What is delivered again raises the same again.
            assert alarms.setdefault((alarm.offset, alarm.device_id, alarm.metric), alarm) == alarm
        position = end
        if what == "snapshot":
            blocks |= detector.table.changed_blocks()
            detector.table.saved()
            covered = position
        elif what == "crash":
            detector = Detector(SeriesTable.restore(blocks, memory))
            position = covered
            crashes += 1

    event(f"alarms: {min(len(expected), 3)}, crashes: {min(crashes, 1)}")
    assert alarms == expected
    assert state(detector.table) == state(whole.table)
    assert state(SeriesTable.restore(blocks | detector.table.changed_blocks(), memory)) == state(whole.table)


@SETTINGS
@given(st.lists(st.sampled_from(EXTREME) | st.floats(allow_nan=False, allow_infinity=False), max_size=400))
def test_no_value_makes_a_state_that_is_not_finite(values: list[float]) -> None:
    detector = Detector(SeriesTable(FULL.itemsize))

    alarms = take(detector, [Row("d", "m", at * 60_000_000, value) for at, value in enumerate(values)], 0, len(values))

    rows, full_rows = detector.table.rows, detector.table.full
    assert all(np.isfinite(rows[name]).all() for name in FLOATS)
    assert all(
        np.isfinite(full_rows[name]).all() for name in ("long", "means", "squares", "mean", "variance", "windows")
    )
    for calibration in [rows[name] for name in SCORES] + [full_rows[name] for name in ("shape", "window")]:
        assert all(np.isfinite(calibration[name]).all() for name in ("short", "mean", "variance"))
    for alarm in alarms:
        assert all(math.isfinite(number) for number in (alarm.score, alarm.baseline, alarm.spread))
