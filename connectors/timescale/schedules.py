"""What is to be done once for each period of time, by one of many workers.

Whoever does a period holds the schedule's row until the period is done, so nobody else does it meanwhile; who dies
leaves it to the next one, who does all of it again. So what is done must be repeatable.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection

from connectors.timescale.ledger import Row
from connectors.timescale.queries import query
from schemas.instants import EPOCH
from schemas.models import MAX_AHEAD

PAGE = 500


@dataclass(frozen=True, slots=True)
class Schedule:
    """Periods of a length, counted from 1970; a period is due when its end is `settle` ago."""

    name: str
    length: timedelta
    settle: timedelta

    def latest(self, now: datetime) -> datetime:
        """Give the start of the last period that is due."""
        over = now - self.settle
        return over - (over - EPOCH) % self.length - self.length


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one device."""

    device_id: str
    metric: str


Work = Callable[[datetime, Iterator[list[Series]]], None]


def run(connection: "Connection[Row]", schedule: Schedule, now: datetime, work: Work) -> bool:
    """Do the last period that is due, unless it is done or somebody does it; say whether `work` was called.

    `work` gets the period's start, and pages of the series that had readings in it; what it raises leaves the period
    undone. Periods before the last one are passed over: nobody waits for them any more. A schedule that is new begins
    with the period of now.
    """
    latest = schedule.latest(now)
    with connection.transaction():
        connection.execute(
            "insert into schedules (name, next_start) values (%s, %s) on conflict do nothing",
            (schedule.name, latest + schedule.length),
        )
        values = {"name": schedule.name, "length": schedule.length, "until": now - schedule.settle}
        if connection.execute(query("due_period"), values).fetchone() is None:
            return False
        work(latest, _pages(connection, latest, latest + schedule.length))
        connection.execute(
            "update schedules set next_start = %s where name = %s", (latest + schedule.length, schedule.name)
        )
    return True


def _pages(connection: "Connection[Row]", start: datetime, end: datetime) -> Iterator[list[Series]]:
    after = ""
    while True:
        # A device's clock may run ahead of the acceptance, which `last_seen` is.
        values = {"after": after, "seen": start - MAX_AHEAD, "start": start, "end": end, "limit": PAGE}
        rows = connection.execute(query("series_of_devices"), values, prepare=False).fetchall()
        if not rows:
            return
        after = str(rows[-1][0])
        yield [
            Series(str(device_id), str(metric))
            for device_id, metrics in rows
            if isinstance(metrics, list)
            for metric in metrics
        ]
