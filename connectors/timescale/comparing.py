"""What is stored, beside what the log says now: nothing here writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from psycopg import Connection
from psycopg.rows import class_row

from connectors.timescale.ledger import PartitionKey, Row
from connectors.timescale.queries import query
from connectors.timescale.writer import spans
from schemas.instants import to_micros


@dataclass(frozen=True, slots=True)
class Standing:
    """What is stored under the keys of rows, entry i for row i: NaN and 0 where nothing is.

    `accepted` is in microseconds since the epoch.
    """

    values: npt.NDArray[np.float64]
    accepted: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExplainedAlarm:
    """An insight about an alarm: which one it was."""

    id: str
    device_id: str
    metric: str
    kind: str
    window_start: datetime
    window_end: datetime


def rows(connection: "Connection[Row]", columns: pa.RecordBatch) -> Standing:
    """Look up what is stored under the keys (`device_id`, `metric`, `ts`) of rows."""
    values = np.full(columns.num_rows, np.nan)
    accepted = np.zeros(columns.num_rows, dtype=np.int64)
    ts = columns.column("ts").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    for first, last in spans(columns.column("ts")) if len(ts) else ():
        places = np.flatnonzero((ts >= to_micros(first)) & (ts <= to_micros(last)))
        part = columns.select(["device_id", "metric"]).take(pa.array(places))
        asked = {name: part.column(name).to_pylist() for name in ("device_id", "metric")}
        keys = {**asked, "ts": ts[places].tolist(), "first": first, "last": last}
        # prepare=False: a plan that is kept for other instants would search every chunk.
        found = connection.execute(query("standing_rows"), keys, prepare=False).fetchall()
        if found:
            numbers, stored, when = zip(*found, strict=True)
            at = places[np.array(numbers, dtype=np.int64) - 1]
            values[at], accepted[at] = stored, when
    return Standing(values, accepted)


def stored_until(connection: "Connection[Row]", topic: PartitionKey) -> dict[int, int]:
    """Give the first offset of each partition of a topic that is not stored yet; none of those that never were."""
    found = connection.execute(query("marks_of_topic"), topic.parameters()).fetchall()
    return {int(str(number)): int(str(offset)) for number, offset in found}


def alarms(
    connection: "Connection[Row]", topic: str, offsets: Mapping[int, tuple[int, int]], since: datetime
) -> list[ExplainedAlarm]:
    """Give the insights, written at `since` or later, about alarms that were raised between offsets of partitions."""
    numbers = sorted(offsets)
    values = {
        "topic": topic,
        "since": since,
        "partition": numbers,
        "first": [offsets[number][0] for number in numbers],
        "end": [offsets[number][1] for number in numbers],
    }
    with connection.cursor(row_factory=class_row(ExplainedAlarm)) as cursor:
        return cursor.execute(query("insights_of_log"), values).fetchall()


def waiting(connection: "Connection[Row]", request_ids: Sequence[str]) -> set[str]:
    """Give those of these requests that were asked about, and wait for an answer."""
    return {str(one) for (one,) in connection.execute(query("waiting_requests"), {"ids": list(request_ids)}).fetchall()}
