"""Rows in the order of the log to alarms: a function of the log, however it is cut into batches."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.fields import Direction, Severity
from schemas.instants import from_micros
from schemas.models import Sample
from streams.detect.deviation import THRESHOLD, update
from streams.detect.state import RECENT, Indices, SeriesTable

# Name and version of the state: another version starts anew instead of misreading it.
DETECTOR = "deviation/1"

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
        series = self._series(rows)
        ts = np.asarray(rows.column("ts").cast(pa.int64()), dtype=np.int64)
        values = np.asarray(rows.column("value"), dtype=np.float64)
        alarms: list[tuple[int, Alarm]] = []
        for round_ in _rounds(series):
            # A reading not later than its series' last one is stored, not detected.
            later = round_[ts[round_] > self.table.rows["last_ts"][series[round_]]]
            if not len(later):
                continue
            scored = update(self.table.rows, series[later], ts[later], values[later], offsets[later])
            for position in np.flatnonzero(scored.alarm):
                index = int(series[later[position]])
                found = _Found(*(float(field[position]) for field in (scored.z, scored.baseline, scored.spread)))
                alarms.append((int(later[position]), self._alarm(index, found)))
        self.table.touched(series)
        return [alarm for _, alarm in sorted(alarms, key=lambda found: found[0])]

    def _series(self, columns: pa.RecordBatch) -> Indices:
        """Find each row's series, with one look-up for each distinct one."""
        devices = columns.column("device_id").dictionary_encode()
        metrics = columns.column("metric").dictionary_encode()
        width = len(metrics.dictionary)
        codes = np.asarray(devices.indices, dtype=np.int64) * width + np.asarray(metrics.indices, dtype=np.int64)
        # In the order of first appearance, so that rows are numbered the same however the log is cut.
        distinct, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        device_names = devices.dictionary.to_pylist()
        metric_names = metrics.dictionary.to_pylist()
        found = np.empty(len(distinct), dtype=np.int64)
        for position in np.argsort(first):
            device, metric = divmod(int(distinct[position]), width)
            found[position] = self.table.index((device_names[device], metric_names[metric]))
        return found[inverse]

    def _alarm(self, index: int, found: "_Found") -> Alarm:
        row = self.table.rows[index]
        device_id, metric = self.table.name(index)
        seen = int(row["seen"])
        places = [reading % RECENT for reading in range(max(0, seen - RECENT), seen)]
        value = float(row["recent_value"][places[-1]])
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
                Sample(ts=from_micros(int(row["recent_ts"][place])), value=float(row["recent_value"][place]))
                for place in places
            ),
            first_offset=int(row["recent_offset"][places[0]]),
            last_offset=int(row["recent_offset"][places[-1]]),
        )


class _Found(NamedTuple):
    z: float
    baseline: float
    spread: float


def _rounds(series: Indices) -> "list[npt.NDArray[np.int64]]":
    """Cut rows into rounds in which no series stands twice: round k holds each series' k-th row of the batch."""
    order = np.argsort(series, kind="stable")
    grouped = series[order]
    starts = np.flatnonzero(np.concatenate(([True], grouped[1:] != grouped[:-1])))
    lengths = np.diff(np.concatenate((starts, [len(grouped)])))
    rank = np.arange(len(grouped)) - np.repeat(starts, lengths)
    by_rank = np.argsort(rank, kind="stable")
    counts = np.bincount(rank)
    return np.split(order[by_rank], np.cumsum(counts)[:-1])


def _severity(distance: float, spread: float) -> Severity:
    if distance >= CRITICAL_SPREADS * spread:
        return Severity.CRITICAL
    return Severity.WARNING if distance >= WARNING_SPREADS * spread else Severity.INFO


def _score(z: float) -> float:
    """Map 0 to 0, the threshold to a half, and ever larger deviations towards 1."""
    return z / (z + THRESHOLD)
