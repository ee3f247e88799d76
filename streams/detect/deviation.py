"""How far a reading is from where its series usually is, and whether that is worth an alarm.

Exponentially weighted statistics whose gain is 1/(n+1) until it reaches 1/T (so the first readings count as a plain
mean). The distance from the level, in spreads, is averaged over a few readings and compared with its own long mean and
deviation: a noisy series has to deviate more than a calm one to be unusual.

Only additions, multiplications, divisions and square roots: IEEE 754 fixes their results, so a reading gives the same
state whichever batch it stands in.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from streams.columns.compiled import compiled, inner
from streams.detect.state import SERIES

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEVEL_READINGS = 30
SPREAD_READINGS = 2000
SHORT_READINGS = 6
LONG_READINGS = 4000
# Before that many readings nothing is known about a series.
PROBATION = 300
# Level and spread of fewer readings say nothing: what deviates from them is not remembered as a deviation.
SETTLING_READINGS = 10
# An alarm less than this many readings after the last unusual one belongs to the same event.
REFRACTORY = 100
# In long deviations of the averaged distance.
THRESHOLD = 6.0
# A single distance counts for no more than this many spreads, or one absurd value would hide all that follow.
MOST_SPREADS = 50.0
# What a deviation counts for at the most, in long deviations of the averaged distance.
MOST_DEVIATIONS = 1e6
# Values are held to this for the statistics, so that no sum or product overflows. They are stored as they are.
MOST = 1e150

_ROWS = types.Array(from_dtype(SERIES), 1, "C")
_INT64S = types.Array(types.int64, 1, "C")
_INT64S_READ = types.Array(types.int64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C")
_FLOATS_READ = types.Array(types.float64, 1, "C", readonly=True)


# Readings that are taken together: what they touch fits into a fast cache.
_TOGETHER = 256


@inner
def _touch(rows: npt.NDArray[np.void], series: Int64, first: int, end: int, warm: Floats) -> None:
    """Read what `advance` is going to need: memory answers late, but it answers many questions at once."""
    for position in range(first, end):
        # Both ends of what stands before the ring: an array begins where it likes, so that may be two lines of a cache.
        warm[position] = rows[series[position]].seen + rows[series[position]].variance
    for position in range(first, end):
        row = rows[series[position]]
        sample = row.recent[row.seen % len(row.recent)]
        warm[position] = sample.ts + sample.offset


@compiled(types.int64(_ROWS, _INT64S, _INT64S_READ, _FLOATS_READ, _INT64S_READ, types.int64, _FLOATS, _FLOATS))
def advance(  # noqa: PLR0913, PLR0917  # compiled loops take their columns one by one
    rows: npt.NDArray[np.void],
    series: Int64,
    ts: Int64,
    values: Floats,
    offsets: Int64,
    start: int,
    warm: Floats,
    found: Floats,
) -> int:
    """Take readings into the state of their series, from position `start` up to the first that raises an alarm.

    Give its position, and in `found` the deviation, and the level and the spread as they were before it; where none
    raises an alarm, the number of readings.
    """
    for first in range(start, len(series), _TOGETHER):
        end = min(first + _TOGETHER, len(series))
        _touch(rows, series, first, end, warm)
        for position in range(first, end):
            row = rows[series[position]]
            # A reading not later than its series' last one is stored, not detected.
            if ts[position] <= row.last_ts:
                continue
            seen = row.seen
            gain = 1.0 / (seen + 1.0)
            held = min(max(values[position], -MOST), MOST)
            level, spread = row.level, row.spread
            distance = 0.0 if seen == 0 else abs(held - level)
            if distance == 0.0 or seen < SETTLING_READINGS:
                spreads = 0.0
            elif spread > 0.0:
                spreads = min(distance / spread, MOST_SPREADS)
            else:
                spreads = MOST_SPREADS
            short = row.short + max(1.0 / SHORT_READINGS, gain) * (spreads - row.short)
            excess = short - row.mean
            if row.variance > 0.0:
                z = min(excess / math.sqrt(row.variance), MOST_DEVIATIONS)
            else:
                # A series that never deviated has no deviation to measure the first one with.
                z = MOST_DEVIATIONS if excess > 0.0 else 0.0
            unusual = z >= THRESHOLD and seen >= PROBATION
            alarm = unusual and seen >= row.quiet_until

            long_gain = max(1.0 / LONG_READINGS, gain)
            row.mean += long_gain * excess
            row.variance += long_gain * (excess * excess - row.variance)
            row.short = short
            row.level = level + max(1.0 / LEVEL_READINGS, gain) * (held - level)
            row.spread = spread + max(1.0 / SPREAD_READINGS, gain) * (distance - spread)
            if unusual:
                row.quiet_until = seen + REFRACTORY + 1
            sample = row.recent[seen % len(row.recent)]
            sample.ts = ts[position]
            sample.value = values[position]
            sample.offset = offsets[position]
            row.last_ts = ts[position]
            row.seen = seen + 1
            if alarm:
                found[0], found[1], found[2] = z, level, spread
                return position
    return len(series)
