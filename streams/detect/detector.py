"""Rows in the order of the log to alarms: a function of the log, however it is cut into batches."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.fields import Direction, Severity
from schemas.instants import from_micros
from schemas.models import Sample
from streams.columns.texts import Texts
from streams.detect.deviation import THRESHOLD, advance
from streams.detect.state import RECENT, Indices, SeriesTable

# Name and version of the state: another version starts anew instead of misreading it.
DETECTOR = "deviation/3"

# How far from the level, in spreads, the value is that raises an alarm of this severity.
WARNING_SPREADS = 6.0
CRITICAL_SPREADS = 12.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """One event of one series that deserves an explanation."""

    device_id: str
    metric: str
    kind: str
    direction: Direction
    severity: Severity
    score: float  # 0 to 1
    value: float
    baseline: float
    spread: float
    samples: tuple[Sample, ...]  # the readings up to and including the one that raised it, oldest first
    first_offset: int
    last_offset: int


class Detector:
    """Watches the series of one partition."""

    def __init__(self, table: SeriesTable | None = None) -> None:
        """Start from a restored state, or from nothing."""
        self.table = table if table is not None else SeriesTable()

    def take(self, rows: pa.RecordBatch, offsets: Indices) -> list[Alarm]:
        """Take rows (device_id, metric, ts, value) in the order of the log, and give the alarms in the same order.

        `offsets` are those of the records that the rows came from.
        """
        if not rows.num_rows:
            return []
        series = self.table.indices(Texts.of(rows.column("device_id")), Texts.of(rows.column("metric")))
        ts = np.asarray(rows.column("ts").cast(pa.int64()), dtype=np.int64)
        values = np.asarray(rows.column("value"), dtype=np.float64)
        offsets = np.ascontiguousarray(offsets)
        warm, found = np.empty(len(series)), np.empty(len(_Found._fields))
        alarms = []
        position = advance(self.table.rows, series, ts, values, offsets, 0, warm, found)
        while position < len(series):
            alarms.append(self._alarm(int(series[position]), _Found(*found.tolist())))
            position = advance(self.table.rows, series, ts, values, offsets, position + 1, warm, found)
        self.table.touched(series)
        return alarms

    def _alarm(self, index: int, found: "_Found") -> Alarm:
        # The row ends with the reading that raised it: the loop stopped there.
        row = self.table.rows[index]
        device_id, metric = self.table.name(index)
        seen = int(row["seen"])
        places = [reading % RECENT for reading in range(max(0, seen - RECENT), seen)]
        value = float(row["recent"][places[-1]]["value"])
        return Alarm(
            device_id=device_id,
            metric=metric,
            kind="deviation",
            direction=Direction.UP if value > found.baseline else Direction.DOWN,
            severity=_severity(abs(value - found.baseline), found.spread),
            score=_score(found.z),
            value=value,
            baseline=found.baseline,
            spread=found.spread,
            samples=tuple(
                Sample(ts=from_micros(int(sample["ts"])), value=float(sample["value"]))
                for sample in row["recent"][places]
            ),
            first_offset=int(row["recent"][places[0]]["offset"]),
            last_offset=int(row["recent"][places[-1]]["offset"]),
        )


class _Found(NamedTuple):
    z: float
    baseline: float
    spread: float


def _severity(distance: float, spread: float) -> Severity:
    if distance >= CRITICAL_SPREADS * spread:
        return Severity.CRITICAL
    return Severity.WARNING if distance >= WARNING_SPREADS * spread else Severity.INFO


def _score(z: float) -> float:
    """Map 0 to 0, the threshold to a half, and ever larger deviations towards 1."""
    return z / (z + THRESHOLD)
