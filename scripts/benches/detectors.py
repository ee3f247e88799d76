"""What the bench `detect` scores: the detector as it ships, and baselines. Each gives a score a row, seeing none later.

Windowed Gaussian is the benchmark's own baseline, from its description: how far in the tail of a normal distribution,
fitted to a sliding window, a value lies. The periodic alarm looks at no data at all: what it scores is what a score is
worth.
"""

from collections.abc import Callable
from math import erfc, sqrt

import numpy as np
import pyarrow as pa

from scripts.benches.nab import Floats, Series
from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Detector
from streams.detect.layout import FULL
from streams.detect.state import SeriesTable

Scored = Callable[[Series], Floats]

PERIOD = 600
WINDOW, STEP = 6400, 100
NO_SPREAD = 1e-6


def full_tier(series: Series) -> Floats:
    """Give 1 where an alarm is raised: one threshold and one setting, those that ship."""
    return _alarms(series, Detector(SeriesTable(FULL.itemsize)))


def light_tier(series: Series) -> Floats:
    """Give the same of a series for which there is no memory in the full tier."""
    return _alarms(series, Detector())


def _alarms(series: Series, detector: Detector) -> Floats:
    count = len(series.values)
    accepted = pa.array(series.ts, pa.timestamp("us", "UTC"))
    name = pa.array([series.name] * count, pa.string())
    rows = pa.RecordBatch.from_arrays(
        [accepted, name, name, pa.array(series.values, pa.float64()), accepted], schema=ROW_SCHEMA
    )
    scores = np.zeros(count)
    scores[[alarm.offset for alarm in detector.take(rows, np.arange(count, dtype=np.int64))]] = 1.0
    return scores


def periodic(series: Series) -> Floats:
    """Raise an alarm every so many rows, whatever they say."""
    scores = np.zeros(len(series.values))
    scores[PERIOD::PERIOD] = 1.0
    return scores


def windowed_gaussian(series: Series) -> Floats:
    """Give 1 minus the tail's probability under the normal distribution of the window before."""
    values = series.values
    scores = np.zeros(len(values))
    mean, spread = 0.0, NO_SPREAD
    for row, value in enumerate(values.tolist()):
        if row:
            scores[row] = 1.0 - 0.5 * erfc(abs(value - mean) / spread / sqrt(2.0))
        if row < WINDOW or (row + 1 - WINDOW) % STEP == 0:
            window = values[max(0, row + 1 - WINDOW) : row + 1]
            mean, spread = float(window.mean()), float(window.std()) or NO_SPREAD
    return scores
