"""What is remembered of a series (a metric of a device), byte by byte: a row of the light tier, and one of the full.

Every series has a row of the light tier. The full tier remembers what a series looked like in the past, which takes ten
times as much, so only as many series have it as there is memory for (`streams.detect.state`).
"""

import numpy as np

# How many of a series' last readings are kept, to show the window around an alarm.
RECENT = 16
# Parts of the day, each with a level of its own.
HOURS = 24

# A reading in the ring: its parts stand together, for each line of memory that a reading touches is waited for.
SAMPLE = np.dtype([("ts", np.int64), ("value", np.float64), ("offset", np.int64)])

# A score's own statistics: its mean over few readings, and the long mean and variance of that (`calibrated`).
CALIBRATION = np.dtype([("short", np.float64), ("mean", np.float64), ("variance", np.float64)])

# The usual value of a part of the day, as the distance from `origin`, and how many readings it comes from.
HOUR = np.dtype([("mean", np.float32), ("seen", np.uint16)])

SERIES = np.dtype(
    [
        ("seen", np.int64),  # readings taken into account
        ("last_ts", np.int64),  # microseconds since the epoch
        ("last", np.float64),  # the value of the last reading
        # An alarm belongs to the previous one before `seen`, the points of the full tier and the time are all that far.
        ("quiet_until", np.int64),
        ("quiet_points", np.int64),
        ("quiet_ts", np.int64),
        ("level", np.float64),
        ("spread", np.float64),  # mean distance from the level
        ("slow", np.float64),  # another level, of ten times as many readings
        ("drift", np.float64),  # mean distance between the two levels
        ("origin", np.float64),  # the first value
        ("residual", np.float64),  # mean distance from the value that is usual at this time of day
        ("low", np.float64),  # the range that the class of the device allows; infinite: any
        ("high", np.float64),
        ("deviation", CALIBRATION),
        ("shift", CALIBRATION),
        ("season", CALIBRATION),
        ("run", np.uint32),  # readings since the value last changed
        ("longest_run", np.uint32),  # the longest of these before this one
        # When the last reading came, by the clock of `streams.detect.silence`: its tick, and how many there were.
        ("tick", np.int64),
        ("heard", np.uint32),
        ("longest_silence", np.uint32),  # in ticks
        ("silent", np.int32),  # 1 from when its silence raised an alarm to its next reading
        ("full", np.int32),  # the number of its row in the full tier; -1: it has none
        # What the full tier needs to know of a reading that is no point; its own rows are far away.
        ("points", np.int64),  # readings that it took into account: not all of them are
        ("point_ts", np.int64),  # of the last of them
        ("latest_ts", np.int64),  # of the series
        ("hours", HOUR, (HOURS,)),
        ("recent", SAMPLE, (RECENT,)),  # a ring: reading k stands at k modulo RECENT
    ]
)

# The parts of a shape: differences between neighbours among the last value and means over ever more points.
SCALES = 5
# The shapes that are remembered, one of each two points.
SHAPES = 600
# The windows that are remembered, one of each eight points: the last eight points, and the time of day as two numbers.
LAGS = 8
WINDOW = LAGS + 2
WINDOWS = 200

FULL = np.dtype(
    [
        ("origin", np.float64),  # the first value
        ("long", np.float64),  # long mean of the values' roots
        ("means", np.float64, (SCALES - 1,)),  # of the values' roots, the shortest first
        ("squares", np.float64, (SCALES,)),  # long means of the squared parts of a shape
        ("mean", np.float64),  # long mean of the values
        ("variance", np.float64),
        ("shape", CALIBRATION),
        ("window", CALIBRATION),
        ("lags", np.float32, (LAGS,)),  # a ring of the last points
        # Rings; a part of all shapes stands together, so that many are compared at once.
        ("windows", np.float32, (WINDOW, WINDOWS)),
        ("shapes", np.int8, (SCALES, SHAPES)),
    ]
)
