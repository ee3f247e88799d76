"""Windows of the table `readings`, in buckets: from the rollups where there are some, else from the readings."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg import Connection
from psycopg.rows import dict_row

from connectors.timescale.connection import DatabaseKind, kind_of
from connectors.timescale.ledger import Row
from connectors.timescale.queries import query
from schemas.instants import EPOCH

# The finest that gives no more than so many buckets is taken, but for the coarsest.
MOST_BUCKETS: Final = 500
WIDTHS: Final = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1))
_ROLLUPS: Final = {timedelta(minutes=1): "readings_1m", timedelta(hours=1): "readings_1h"}


@dataclass(frozen=True, slots=True)
class Window:
    """One metric of one device, from `start` on and before `end`."""

    device_id: str
    metric: str
    start: datetime
    end: datetime

    @property
    def width(self) -> timedelta:
        """How long its buckets are."""
        return next((width for width in WIDTHS if (self.end - self.start) / width <= MOST_BUCKETS), WIDTHS[-1])

    def aligned(self) -> "Window":
        """Widen it to whole buckets."""
        width = self.width
        start = self.start - (self.start - EPOCH) % width
        return Window(self.device_id, self.metric, start, self.end + (EPOCH - self.end) % width)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was read within one width of time. The mean is that of values up to 1e100; without any it is None."""

    start: datetime
    count: int
    mean: float | None
    low: float
    high: float


def read(connection: "Connection[Row]", windows: Sequence[Window]) -> list[list[Bucket]]:
    """Give the buckets of each window (aligned), oldest first; those without readings are left out."""
    found: list[list[Bucket]] = [[] for _ in windows]
    by_width = defaultdict[timedelta, list[int]](list)
    for place, window in enumerate(windows):
        by_width[window.width].append(place)
    rolled_up = kind_of(connection) is DatabaseKind.TIMESCALEDB
    for width, places in by_width.items():
        view = _ROLLUPS.get(width) if rolled_up else None
        statement = query("windows_of_readings") if view is None else query("windows_of_rollup", view=view)
        aligned = [windows[place].aligned() for place in places]
        values = {
            "device_id": [window.device_id for window in aligned],
            "metric": [window.metric for window in aligned],
            "start": [window.start for window in aligned],
            "end": [window.end for window in aligned],
            "width": width,
        }
        with connection.cursor(row_factory=dict_row) as cursor:
            # prepare=False: a plan that is kept for other instants would search every chunk.
            for row in cursor.execute(statement, values, prepare=False):
                bucket = Bucket(row["bucket"], row["n"], row["avg"], row["min"], row["max"])
                found[places[row["place"] - 1]].append(bucket)
    return found
