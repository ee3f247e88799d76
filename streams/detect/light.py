"""The light tier: what a few numbers a series can tell of a reading, and whether that is worth an alarm.

Exponentially weighted statistics whose gain is 1/(n+1) until it reaches 1/T, so the first readings count as a plain
mean. Three scores, each in its own unit: how far the value is from the level (spikes, dropouts, a change of variance),
how far the level is from a slower one (a change of level), how far the value is from what is usual at this time of day.
Each is averaged over a few readings and compared with its own long mean and deviation: a noisy series has to deviate
more than a calm one to be unusual. The fourth root of the sum of their fourth powers is little more than the largest of
them, but scores that agree count for more than one alone.

Two rules beside them: a value that stays the same for much longer than ever before, and one that leaves the range that
its device's class allows, which needs no probation.

Only additions, multiplications, divisions and square roots: IEEE 754 fixes their results, so a reading gives the same
state whichever batch it stands in.
"""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from streams.columns.compiled import compiled, inner
from streams.detect.layout import SERIES

# A row of an array of structures, in a compiled loop.
Row: TypeAlias = Any
Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEVEL_READINGS = 30
SLOW_READINGS = 300
SPREAD_READINGS = 2000
DEVIATION_READINGS, SHIFT_READINGS, SEASON_READINGS = 6, 3, 60
LONG_READINGS = 5000
# A part of the day forgets with time, not with readings: in so many seconds in it.
HOUR_S = 3000.0
# A reading counts for no more than this many seconds.
READING_S = 300.0
HOUR_READINGS = 65_000
# Before that many readings nothing is known about a series.
PROBATION = 300
# Level and spread of fewer readings say nothing: what deviates from them is not remembered as a deviation.
SETTLING_READINGS = 10
# An alarm less than this many readings after the last unusual one belongs to the same event.
REFRACTORY = 100
# And so does one less than this long after it: of a device that says something ten times a second, too.
QUIET_US = 60_000_000
# In long deviations. A series of the full tier has better eyes for all but the extreme.
THRESHOLD, THRESHOLD_BESIDE_FULL, THRESHOLD_FULL = 4.5, 6.0, 2.9
# Three squares of this many variances stay below the lowest threshold together.
CALM = 0.99 * (THRESHOLD**4 / 3.0) ** 0.5
# The hour of the day counts for less there: alone it has to be a sixth farther from what is usual.
SEASON_BESIDE_FULL = 0.85**4
# A single distance counts for no more than this many spreads, or one absurd value would hide all that follow.
MOST_SPREADS = 50.0
# Values are held to this for the statistics, so that no sum or product overflows. They are stored as they are.
MOST = 1e150
# The square of what a score counts for at the most, in long deviations.
MOST_SQUARED = 1e12
MOST_SINGLE = 1e37
# A value that stands still for at least so many readings, and so many times as long as ever before.
FLAT_READINGS, FLAT_TIMES = 50, 4

DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000

# Which part of `found` says what.
RATIO, DEVIATION, SHIFT, SEASON, PATTERN, BASELINE, SPREAD, FLAT, OUTSIDE = range(9)

_ROWS = types.Array(from_dtype(SERIES), 1, "C")
_INT64S = types.Array(types.int64, 1, "C")
_INT64S_READ = types.Array(types.int64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C")
_FLOATS_READ = types.Array(types.float64, 1, "C", readonly=True)

# Readings that are taken together: what they touch fits into a fast cache.
_TOGETHER = 256


@inner
def _touch(  # compiled loops take their columns one by one
    rows: npt.NDArray[np.void], series: Int64, ts: Int64, first: int, end: int, warm: Floats
) -> None:
    """Read what `advance` is going to need: memory answers late, but it answers many questions at once."""
    for position in range(first, end):
        row = rows[series[position]]
        # Fields that are far enough apart to stand in lines of the cache of their own.
        warm[position] = row.seen + row.drift + row.deviation.variance + row.season.variance + row.tick
    for position in range(first, end):
        row = rows[series[position]]
        sample = row.recent[row.seen % len(row.recent)]
        warm[position] = sample.ts + row.hours[(ts[position] % DAY_US) // HOUR_US].seen


@inner
def _calibrated(calibration: Row, score: float, gain: float, readings: float) -> tuple[float, float]:
    """Average a score over some readings, and remember it.

    Give the square of how far it is above its long mean (0: it is below), and the long variance of that before it: what
    they say together, `_fourth` knows, which is rarely asked.
    """
    calibration.short += max(1.0 / readings, gain) * (score - calibration.short)
    excess = calibration.short - calibration.mean
    square, variance = excess * excess, calibration.variance
    long_gain = max(1.0 / LONG_READINGS, gain)
    calibration.mean += long_gain * excess
    calibration.variance = variance + long_gain * (square - variance)
    return (square if excess > 0.0 else 0.0), variance


@inner
def _fourth(calibrated: tuple[float, float]) -> float:
    """Give the fourth power of a score in long deviations: so it is summed up."""
    square, variance = calibrated
    if square == 0.0:
        return 0.0
    # A series that never deviated has no deviation to measure the first one with.
    squared = min(square / variance, MOST_SQUARED) if variance > 0.0 else MOST_SQUARED
    return float(squared * squared)


@inner
def _calm(calibrated: tuple[float, float]) -> bool:
    """Say, without a division, that three scores of this size are no alarm together."""
    return bool(calibrated[0] <= CALM * calibrated[1])


@inner
def _spreads(distance: float, spread: float) -> float:
    """Give a distance in spreads; where nothing was ever spread, any distance is as far as can be."""
    if distance == 0.0:
        return 0.0
    return min(distance / spread, MOST_SPREADS) if spread > 0.0 else MOST_SPREADS


@inner
def _times(distance: float, usual: float) -> float:
    """Give a distance in usual ones; where there is no usual one yet, nothing is known."""
    return min(distance / usual, MOST_SPREADS) if usual > 0.0 else 0.0


@inner
def _of_the_day(row: Row, ts: int, held: float, gain: float) -> float:
    """Give the distance from what is usual at this time of day, in mean such distances; then remember the value."""
    hour = row.hours[(ts % DAY_US) // HOUR_US]
    distance = 0.0 if hour.seen == 0 else abs(held - (row.origin + hour.mean))
    times = _times(distance, row.residual)
    row.residual += max(1.0 / LONG_READINGS, gain) * (distance - row.residual)
    hour_gain = 0.0 if row.seen == 0 else min((ts - row.last_ts) * 1e-6, READING_S) * (1.0 / HOUR_S)
    hour.seen = min(hour.seen + 1, HOUR_READINGS)
    if hour_gain * hour.seen < 1.0:
        hour_gain = 1.0 / hour.seen
    from_origin = min(max(held - row.origin, -MOST_SINGLE), MOST_SINGLE)
    hour.mean = hour.mean + hour_gain * (from_origin - hour.mean)
    return times


@inner
def _speaks(row: Row, tick: int, heard: int) -> None:
    """Note by the clock of the log that a series was heard; how long it was silent is learnt."""
    if row.seen > 0 and not row.silent:
        row.longest_silence = max(row.longest_silence, heard - row.heard)
    row.tick, row.heard, row.silent = tick, heard, 0


@inner
def _stands_still(row: Row, value: float, last: float) -> bool:
    """Say whether the value has just stayed the same for too long. What never moved has nothing to stand still from."""
    if row.seen > 0 and value == last:
        row.run += 1
    else:
        row.longest_run = max(row.longest_run, row.run)
        row.run = 0
    return bool(row.run < row.seen and row.run == max(FLAT_READINGS, FLAT_TIMES * row.longest_run))


@inner
def _ratio(fourths: tuple[float, float, float], point: int, pattern: float) -> float:
    """Give the scores' size in multiples of the threshold; with the full tier's, if it has any of this reading.

    All are fourth powers, and so is what is given.
    """
    deviation, shift, season = fourths
    size = deviation + shift + season
    if point < 0:
        return size / THRESHOLD**4
    full = (pattern + SEASON_BESIDE_FULL * season) / THRESHOLD_FULL**4 if pattern >= 0.0 else 0.0
    return max(size / THRESHOLD_BESIDE_FULL**4, full)


@inner
def _root(fourth: float) -> float:
    return math.sqrt(math.sqrt(fourth))


@inner
def _begins(row: Row, ts: int, point: int) -> bool:
    """Note an unusual reading, and say whether it is the first of its event."""
    quiet = row.seen < row.quiet_until or ts < row.quiet_ts or 0 <= point < row.quiet_points
    row.quiet_until = row.seen + REFRACTORY + 1
    row.quiet_points = max(point, 0) + REFRACTORY + 1
    row.quiet_ts = ts + QUIET_US
    return bool(not quiet)


@compiled(
    types.int64(
        *(_ROWS, _INT64S, _INT64S_READ, _FLOATS_READ, _INT64S_READ, _INT64S, _FLOATS),
        *(types.int64, types.int64, types.int64, _FLOATS, _FLOATS),
    )
)
def advance(  # noqa: PLR0913, PLR0917  # compiled loops take their columns one by one
    rows: npt.NDArray[np.void],
    series: Int64,
    ts: Int64,
    values: Floats,
    offsets: Int64,
    points: Int64,
    patterns: Floats,
    tick: int,
    heard: int,
    start: int,
    warm: Floats,
    found: Floats,
) -> int:
    """Take readings into the state of their series, from position `start` up to the first that raises an alarm.

    `points` and `patterns` are what the full tier says of each reading (`streams.detect.full`): how many points its
    series has, or -1 where it is not in that tier; and the sum of the fourth powers of its scores. `tick` and `heard`
    are the clock of the log. Give the position, and in `found` what was found (`streams.detect.kinds.Found`); where
    none raises an alarm, the number of readings.
    """
    for first in range(start, len(series), _TOGETHER):
        end = min(first + _TOGETHER, len(series))
        _touch(rows, series, ts, first, end, warm)
        for position in range(first, end):
            row = rows[series[position]]
            _speaks(row, tick, heard)
            # A reading not later than its series' last one is stored, not detected.
            if ts[position] <= row.last_ts:
                continue
            seen, value = row.seen, values[position]
            held = min(max(value, -MOST), MOST)
            gain = 1.0 / (seen + 1.0) if seen < LONG_READINGS else 0.0
            if seen == 0:
                row.origin = row.level = row.slow = held
            level, spread = row.level, row.spread
            distance, drift = abs(held - level), abs(level - row.slow)

            spreads = _spreads(distance, spread) if seen >= SETTLING_READINGS else 0.0
            deviation = _calibrated(row.deviation, spreads, gain, DEVIATION_READINGS)
            shift = _calibrated(row.shift, _times(drift, row.drift), gain, SHIFT_READINGS)
            season = _calibrated(row.season, _of_the_day(row, ts[position], held, gain), gain, SEASON_READINGS)

            row.level = level + max(1.0 / LEVEL_READINGS, gain) * (held - level)
            row.slow += max(1.0 / SLOW_READINGS, gain) * (held - row.slow)
            row.spread = spread + max(1.0 / SPREAD_READINGS, gain) * (distance - spread)
            row.drift += max(1.0 / LONG_READINGS, gain) * (drift - row.drift)

            last, row.last = row.last, value
            flat = _stands_still(row, value, last)
            ratio = 0.0
            calm = _calm(deviation) and _calm(shift) and _calm(season) and patterns[position] < 0.0
            if seen >= PROBATION and (flat or not calm):
                fourths = (_fourth(deviation), _fourth(shift), _fourth(season))
                ratio = _ratio(fourths, points[position], patterns[position])
                ratio = max(ratio, 1.0) if flat else ratio
            inside_before = seen == 0 or row.low <= last <= row.high
            left = inside_before and not row.low <= value <= row.high
            ratio = max(ratio, 1.0) if left else ratio
            alarm = ratio >= 1.0 and _begins(row, ts[position], points[position])

            sample = row.recent[seen % len(row.recent)]
            sample.ts = ts[position]
            sample.value = value
            sample.offset = offsets[position]
            row.last_ts = ts[position]
            row.seen = seen + 1
            if alarm:
                found[RATIO], found[PATTERN] = _root(ratio), _root(max(patterns[position], 0.0))
                found[DEVIATION], found[SHIFT] = _root(_fourth(deviation)), _root(_fourth(shift))
                found[SEASON] = _root(_fourth(season))
                found[BASELINE], found[SPREAD] = level, spread
                found[FLAT], found[OUTSIDE] = 1.0 if flat else 0.0, 1.0 if left else 0.0
                return position
    return len(series)
