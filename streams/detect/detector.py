"""Rows in the order of the log to alarms: a function of the log, however it is cut into batches."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.fields import Direction, Severity
from schemas.instants import from_micros
from schemas.models import Sample
from streams.columns.texts import Texts
from streams.detect.full import compare
from streams.detect.kinds import MISSING, Found, direction_of, kind_of, severity_of
from streams.detect.layout import RECENT
from streams.detect.light import advance
from streams.detect.silence import SILENT_TICKS, LogClock, fallen_silent, silence
from streams.detect.state import Indices, SeriesTable

# Name and version of the state: another version starts anew instead of misreading it.
DETECTOR = "tiers/1"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One event of one series that deserves an explanation."""

    device_id: str
    metric: str
    kind: str
    direction: Direction
    severity: Severity
    score: float  # 0 to 1; a half is the threshold
    value: float
    baseline: float
    spread: float
    samples: tuple[Sample, ...]  # the last readings of the series, oldest first
    first_offset: int  # of the samples
    last_offset: int
    offset: int  # of the record with which it was noticed


class _Columns(NamedTuple):
    """Rows as the compiled loops take them."""

    series: Indices
    ts: Indices
    values: npt.NDArray[np.float64]
    offsets: Indices

    def part(self, first: int, end: int) -> "_Columns":
        cut = slice(first, end)
        return _Columns(self.series[cut], self.ts[cut], self.values[cut], self.offsets[cut])


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A series that the detectors do not know, and its first reading: `ts` and `accepted` in microseconds."""

    device_id: str
    metric: str
    ts: int
    accepted: int


# Gives what is known of newcomers from before their first reading here, of each `ts` (microseconds) and values, oldest
# first.
Earlier = Callable[[Sequence[Newcomer]], Sequence[tuple[Indices, npt.NDArray[np.float64]]]]


class Detector:
    """Watches the series of one partition."""

    def __init__(self, table: SeriesTable | None = None) -> None:
        """Start from a restored state, or from nothing."""
        self.table = table if table is not None else SeriesTable()
        known = self.table.rows[: len(self.table)]
        self._clock = LogClock(int(known["tick"].max()), int(known["heard"].max())) if len(known) else LogClock()

    def take(self, rows: pa.RecordBatch, offsets: Indices, earlier: Earlier | None = None) -> list[Alarm]:
        """Take rows (`streams.columns.batch.ROW_SCHEMA`) in the order of the log, and give the alarms in that order.

        `offsets` are those of the records that the rows came from. `earlier` knows what series have said elsewhere
        before they came here: it raises no alarm, and whoever moves is watched from the first reading on.
        """
        if not rows.num_rows:
            return []
        known = len(self.table)
        series = self.table.indices(Texts.of(rows.column("device_id")), Texts.of(rows.column("metric")))
        ts = np.asarray(rows.column("ts").cast(pa.int64()), dtype=np.int64)
        accepted = np.asarray(rows.column("accepted").cast(pa.int64()), dtype=np.int64)
        columns = _Columns(series, ts, np.asarray(rows.column("value"), np.float64), np.ascontiguousarray(offsets))
        if earlier is not None and len(self.table) > known:
            self._learn(known, columns, accepted, earlier)
        alarms: list[Alarm] = []
        first = 0
        for tick in [*self._clock.ticks(accepted), len(series)]:
            alarms += self._watch(columns.part(first, tick))
            if tick < len(series):
                self._clock.move(int(accepted[tick]))
                alarms += self._silences(int(offsets[tick]))
            first = tick
        self.table.touched(series)
        return alarms

    def _learn(self, known: int, columns: _Columns, accepted: Indices, earlier: Earlier) -> None:
        """Let the series from number `known` on see what they have said elsewhere."""
        new = np.arange(known, len(self.table))
        found, firsts = np.unique(columns.series, return_index=True)
        at = firsts[np.searchsorted(found, new)]
        asked = [
            Newcomer(*self.table.name(index), int(columns.ts[place]), int(accepted[place]))
            for index, place in zip(new.tolist(), at.tolist(), strict=True)
        ]
        for index, place, (ts, values) in zip(new.tolist(), at.tolist(), earlier(asked), strict=True):
            if not len(ts):
                continue
            # They stand in another region's log: what is said of the range of offsets begins with the first one here.
            offsets = np.full(len(ts), columns.offsets[place])
            seen = _Columns(np.full(len(ts), index), ts, values, offsets)
            for _ in self._watch(seen):
                pass

    def _watch(self, columns: _Columns) -> Iterator[Alarm]:
        """Take readings between two ticks of the clock."""
        count = len(columns.series)
        table, clock = self.table, self._clock
        points, patterns, warm, found = (
            np.empty(count, np.int64),
            np.empty(count),
            np.empty(count),
            np.empty(len(Found._fields)),
        )
        compare(table.rows, table.full, columns.series, columns.ts, columns.values, points, patterns)
        position = -1
        while True:
            full = (points, patterns)
            position = advance(table.rows, *columns, *full, clock.tick, clock.heard, position + 1, warm, found)
            if position == count:
                return
            # The row ends with the reading that raised it: the loop stopped there.
            yield self._alarm(int(columns.series[position]), Found(*found.tolist()), int(columns.offsets[position]))

    def _silences(self, offset: int) -> Iterator[Alarm]:
        """Look at everyone at a tick of the clock; what stops together with others of its device is one alarm."""
        table, heard = self.table, self._clock.heard
        found = np.empty(len(table), np.int64)
        fallen = found[: fallen_silent(table.rows, len(table), heard, found)]
        if not len(fallen):
            return
        table.touched(fallen)
        silent = np.flatnonzero(table.rows["silent"][: len(table)])
        last_heard: dict[str, list[int]] = defaultdict(list)
        for index in np.setdiff1d(silent, fallen).tolist():
            last_heard[table.name(index)[0]].append(int(table.rows[index]["heard"]))
        for index in fallen.tolist():
            row, others = table.rows[index], last_heard[table.name(index)[0]]
            if not any(abs(int(row["heard"]) - other) <= SILENT_TICKS for other in others):
                found_of_it = Found.nothing(silence(row, heard), float(row["level"]), float(row["spread"]))
                yield self._alarm(index, found_of_it, offset, MISSING)
            others.append(int(row["heard"]))

    def _alarm(self, index: int, found: Found, offset: int, kind: str | None = None) -> Alarm:
        row = self.table.rows[index]
        device_id, metric = self.table.name(index)
        seen = int(row["seen"])
        samples = row["recent"][[reading % RECENT for reading in range(max(0, seen - RECENT), seen)]]
        values = samples["value"].tolist()
        kind = kind or kind_of(found, values)
        return Alarm(
            device_id=device_id,
            metric=metric,
            kind=kind,
            direction=direction_of(kind, found, values[-1]),
            severity=severity_of(kind, found, values[-1]),
            score=found.ratio / (found.ratio + 1.0),
            value=values[-1],
            baseline=found.baseline,
            spread=found.spread,
            samples=tuple(
                Sample(ts=from_micros(int(sample["ts"])), value=float(sample["value"])) for sample in samples
            ),
            first_offset=int(samples[0]["offset"]),
            last_offset=int(samples[-1]["offset"]),
            offset=offset,
        )
