"""The full tier asks whether a series has ever looked like this before.

Two memories of the past, both searched for what is nearest to the present (a k-nearest-neighbour anomaly score; the
calibration is that of the light tier):

- **shapes**: differences between means of the values' roots over ever more points, each in its own usual size. The root
  of a value keeps its sign; it makes a large series' changes comparable with a small one's.
- **windows**: the last points as they are, and the time of day.

A reading is a point if it is later than the last point by ten seconds or more: the shape of something that happens
within a second is the light tier's affair, and one series cannot take more time than another.

The values and their order make the state, nothing else. The distances between shapes are whole numbers, which a float32
holds exactly; the others are added in a fixed order.
"""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from streams.columns.compiled import compiled, inner
from streams.detect.layout import FULL, SERIES

# A row of an array of structures, in a compiled loop.
Row: TypeAlias = Any
Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

POINT_US = 10_000_000
PROBATION = 300
LONG_POINTS = 5000
SHAPE_POINTS, WINDOW_POINTS = 3, 10
EACH_SHAPE, EACH_WINDOW = 2, 8
MOST_SQUARED = 1e12
MOST = 1e150
# Of a distance from the origin, so that squares of sums fit into a float32.
MOST_SINGLE = 1e17
# A shape's part beyond this many usual ones says no more; and how many steps one has: 8 becomes 127.
SHAPE_LIMIT, STEPS = 8.0, 127 / 8
DAY_US = 86_400_000_000
# Points over which the values' roots are averaged.
SCALE_POINTS = (2.0, 6.0, 18.0, 54.0)
# Of several that are compared at once, the nearest three are kept: as many as a processor's widest registers hold.
LANES, NEAREST = 16, 3
# No memory holds more.
MOST_REMEMBERED = 1024
# Readings that are taken together: what they touch fits into a fast cache.
_TOGETHER = 256
FAR = np.float32(3e38)

_SERIES = types.Array(from_dtype(SERIES), 1, "C")
_ROWS = types.Array(from_dtype(FULL), 1, "C")
_INT64S = types.Array(types.int64, 1, "C")
_INT64S_READ = types.Array(types.int64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C")
_FLOATS_READ = types.Array(types.float64, 1, "C", readonly=True)
_SINGLES = types.Array(types.float32, 1, "C")


@inner
def _calibrated(calibration: Row, score: float, gain: float, points: float) -> float:
    """Do what its namesake of the light tier does; compiled loops share nothing between files."""
    calibration.short += max(1.0 / points, gain) * (score - calibration.short)
    excess = calibration.short - calibration.mean
    square = excess * excess
    fourth = 0.0
    if excess > 0.0:
        squared = min(square / calibration.variance, MOST_SQUARED) if calibration.variance > 0.0 else MOST_SQUARED
        fourth = squared * squared
    long_gain = max(1.0 / LONG_POINTS, gain)
    calibration.mean += long_gain * excess
    calibration.variance += long_gain * (square - calibration.variance)
    return fourth


@inner
def _nearest(distances: Singles, count: int, which: int, lanes: npt.NDArray[np.float32]) -> float:
    """Give the smallest of `count` distances (`which` 0), the second (1) or the third (2); FAR if there are fewer."""
    for lane in range(LANES):
        lanes[0, lane] = lanes[1, lane] = lanes[2, lane] = FAR
    whole = count - count % LANES
    for first in range(0, whole, LANES):
        for lane in range(LANES):
            distance = distances[first + lane]
            one, two, three = lanes[0, lane], lanes[1, lane], lanes[2, lane]
            lanes[0, lane] = min(one, distance)
            lanes[1, lane] = min(two, max(one, distance))
            lanes[2, lane] = min(three, max(two, distance))
    one = two = three = FAR
    for lane in range(LANES * NEAREST + count - whole):
        if lane < LANES * NEAREST:
            distance = lanes[lane // LANES, lane % LANES]
        else:
            distance = distances[whole + lane - LANES * NEAREST]
        three = min(three, max(two, distance))
        two = min(two, max(one, distance))
        one = min(one, distance)
    return float(one if which == 0 else two if which == 1 else three)


@inner
def _shape_score(  # compiled loops hand on what they use
    row: Row, points: int, held: float, gain: float, distances: Singles, lanes: Singles
) -> float:
    """Compare the present shape with those of the past, then remember it."""
    scales, shapes = row.shapes.shape
    root = math.copysign(math.sqrt(abs(held)), held)
    if points == 0:
        row.long = root
        for scale in range(len(row.means)):
            row.means[scale] = root
    stored = (points + EACH_SHAPE - 1) // EACH_SHAPE
    count, place = min(stored, shapes), stored % shapes
    for at in range(count):
        distances[at] = 0.0
    faster = root
    for scale in range(scales):
        slower = row.means[scale] if scale < len(row.means) else row.long
        part = faster - slower
        faster = slower
        row.squares[scale] += max(1.0 / LONG_POINTS, gain) * (part * part - row.squares[scale])
        usual = math.sqrt(row.squares[scale])
        inside = min(max(part / usual, -SHAPE_LIMIT), SHAPE_LIMIT) if usual > 0.0 else 0.0
        code = np.int8(math.floor(inside * STEPS + 0.5))
        for at in range(count):
            apart = np.float32(row.shapes[scale, at]) - np.float32(code)
            distances[at] += apart * apart
        if points % EACH_SHAPE == 0:
            row.shapes[scale, place] = code
    for scale in range(len(row.means)):
        row.means[scale] += max(1.0 / SCALE_POINTS[scale], gain) * (root - row.means[scale])
    row.long += max(1.0 / LONG_POINTS, gain) * (root - row.long)
    nearest = _nearest(distances, count, 1, lanes)
    return math.sqrt(nearest / scales) / STEPS if nearest < FAR else 0.0


@inner
def wave(turn: float) -> float:
    """Give sin(2 pi turn) for a turn of 0 to 1, to within 0.002: Bhaskara I's formula, which is the same anywhere."""
    half = turn * 2.0
    sign = 1.0
    if half >= 1.0:
        half, sign = half - 1.0, -1.0
    bow = half * (1.0 - half)
    return sign * 16.0 * bow / (5.0 - 4.0 * bow)


@inner
def _window_score(  # noqa: PLR0913, PLR0917  # the same
    row: Row, points: int, ts: int, held: float, gain: float, distances: Singles, lanes: Singles
) -> float:
    """Compare the last points and the time of day with those of the past, then remember them."""
    parts, windows = row.windows.shape
    lags = len(row.lags)
    if points == 0:
        row.origin = held
    long_gain = max(1.0 / LONG_POINTS, gain)
    apart = held - row.mean
    row.mean += long_gain * apart
    row.variance += long_gain * (apart * apart - row.variance)
    spread = math.sqrt(row.variance)
    row.lags[points % lags] = np.float32(min(max(held - row.origin, -MOST_SINGLE), MOST_SINGLE))
    # The first window is whole with the point of this number.
    complete = points - (lags - 1)
    if complete < 0:
        return 0.0
    # One is kept of the points whose number can be divided; the first of those is EACH_WINDOW, the 0th is not whole.
    stored = (points - 1) // EACH_WINDOW
    count, place = min(stored, windows), stored % windows
    for at in range(count):
        distances[at] = 0.0
    turn = (ts % DAY_US) / DAY_US
    for part in range(parts):
        if part < lags:
            now = row.lags[(points - part) % lags]
        else:
            turned = turn if part == lags else (turn + 0.25) % 1.0
            now = np.float32(min(max(spread * wave(turned), -MOST_SINGLE), MOST_SINGLE))
        for at in range(count):
            off = row.windows[part, at] - now
            distances[at] += off * off
        if points % EACH_WINDOW == 0:
            row.windows[part, place] = now
    nearest = _nearest(distances, count, 2, lanes)
    return math.sqrt(nearest / lags) / spread if nearest < FAR and spread > 0.0 else 0.0


@inner
def _fourths(  # the same
    memory: Row, points: int, ts: int, value: float, distances: Singles, lanes: Singles
) -> float:
    """Take a point, of which there were so many before."""
    held = min(max(value, -MOST), MOST)
    gain = 1.0 / (points + 1.0)
    shape_score = _shape_score(memory, points, held, gain, distances, lanes)
    window_score = _window_score(memory, points, ts, held, gain, distances, lanes)
    shape = _calibrated(memory.shape, shape_score, gain, SHAPE_POINTS)
    window = _calibrated(memory.window, window_score, gain, WINDOW_POINTS)
    return shape + window if points >= PROBATION else -1.0


@compiled(types.void(_SERIES, _ROWS, _INT64S, _INT64S_READ, _FLOATS_READ, _INT64S, _FLOATS))
def compare(  # noqa: PLR0913, PLR0917  # compiled loops take their columns one by one
    rows: npt.NDArray[np.void],
    memories: npt.NDArray[np.void],
    series: Int64,
    ts: Int64,
    values: Floats,
    points: Int64,
    patterns: Floats,
) -> None:
    """Take readings into the memory of their series; `rows` are those of the light tier.

    Write for each reading how many points its series has (-1: it is not in this tier), and the sum of the fourth powers
    of its two scores (-1: it is no point, or too little is known).
    """
    distances = np.empty(MOST_REMEMBERED, np.float32)
    lanes = np.empty((NEAREST, LANES), np.float32)
    for first in range(0, len(series), _TOGETHER):
        end = min(first + _TOGETHER, len(series))
        for position in range(first, end):  # memory answers late, but it answers many questions at once
            points[position] = rows[series[position]].points
        for position in range(first, end):
            row = rows[series[position]]
            points[position] = row.points if row.full >= 0 else -1
            patterns[position] = -1.0
            # A reading not later than its series' last one is stored, not detected.
            if row.full < 0 or (row.points > 0 and ts[position] <= row.latest_ts):
                continue
            row.latest_ts = ts[position]
            if row.points > 0 and ts[position] - row.point_ts < POINT_US:
                continue
            row.point_ts = ts[position]
            row.points += 1
            patterns[position] = _fourths(
                memories[row.full], points[position], ts[position], values[position], distances, lanes
            )
