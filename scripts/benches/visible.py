"""How old each row was when it became visible to other sessions, as PostgreSQL itself wrote it down.

Nothing is counted while a system runs. A row's `ts` is the instant at which its reading was sent, and PostgreSQL keeps
the time of each commit (`track_commit_timestamp`). It takes that time when the commit begins: others see the row when
the commit has been flushed to the disk, a moment later. How long that moment is can be asked from outside only of
commits of one's own, so the bench makes small ones while it measures (`Flushes`) and tells their figure beside the
others; it is in none of them.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from schemas.instants import EPOCH, to_micros

Session = Connection[tuple[object, ...]]
Micros = npt.NDArray[np.int64]

US_PER_MS, US_PER_S = 1000, 1_000_000
ASKED = 20

# PostgreSQL sends an instant as eight bytes that count from 2000.
POSTGRES_EPOCH = to_micros(EPOCH.replace(year=2000))
_INSTANT = np.dtype(">i8")

_ROWS = """
select (extract(epoch from pg_xact_commit_timestamp(xid)) * 1000000)::int8, sent
from (select xmin as xid, string_agg(timestamptz_send(ts), '') as sent from readings group by xmin) as transactions
"""
_COMMITS = (
    "select (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000000)::int8 from bench_flushes order by number"
)


@dataclass(frozen=True)
class Times:
    """When each of many things began and ended: microseconds since 1970, by our clock."""

    began: Micros
    ended: Micros

    def begun_between(self, first: int, last: int) -> "Times":
        """Give those that began between two instants, both included."""
        chosen = (self.began >= first) & (self.began <= last)
        return Times(self.began[chosen], self.ended[chosen])

    def __len__(self) -> int:
        """Say how many there are."""
        return len(self.began)

    def percentile_ms(self, share: float) -> float:
        """Give the shortest time that so large a share of all did not exceed; of nothing there is no such time."""
        return float(np.percentile(self.ended - self.began, share * 100, method="inverted_cdf")) / US_PER_MS

    def ended_per_s(self, first: int, last: int) -> float:
        """Give the rate at which they ended between two instants."""
        return int(np.count_nonzero((self.ended >= first) & (self.ended <= last))) / (last - first) * US_PER_S


class Flushes:
    """Small commits of our own, to see how long it takes from the time that a commit has until it is done.

    They are few, so that what is measured does not notice them; each adds a row to a table of their own.
    """

    def __init__(self, session: Session) -> None:
        """Take a session for them alone, in autocommit."""
        self._session = session
        self._done: list[int] = []
        session.execute("create table bench_flushes (number int)")

    def make(self) -> None:
        """Commit once. The way of the answer to us is in the figure, so it is rather too long than too short."""
        self._session.execute("insert into bench_flushes values (%s)", [len(self._done)])
        self._done.append(_now())

    def read(self, ahead: int) -> Times:
        """Read from when to when each took; the database's clock is ahead by so many microseconds."""
        committed = np.array([row[0] for row in self._session.execute(_COMMITS).fetchall()], dtype=np.int64)
        return Times(committed - ahead, np.array(self._done, dtype=np.int64))


def read(session: Session, ahead: int) -> Times:
    """Read when the row of each reading was sent and committed; the database's clock is ahead by so many microseconds.

    Raises:
        TypeError: PostgreSQL does not know when some rows were committed.

    """
    return unpacked(session.cursor(binary=True).execute(_ROWS).fetchall(), ahead)


def unpacked(transactions: Iterable[tuple[object, ...]], ahead: int) -> Times:
    """Make times of transactions: when each was committed, and the `ts` of its rows as PostgreSQL sends them.

    Raises:
        TypeError: PostgreSQL does not know when some rows were committed.

    """
    began, ended = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for committed, sent in transactions:
        if not isinstance(committed, int) or not isinstance(sent, bytes):
            raise TypeError("PostgreSQL does not know when some rows were committed")
        began.append(np.frombuffer(sent, _INSTANT).astype(np.int64) + POSTGRES_EPOCH)
        ended.append(np.full(len(began[-1]), committed - ahead, dtype=np.int64))
    return Times(np.concatenate(began), np.concatenate(ended))


def ahead(session: Session) -> int:
    """Say by how many microseconds the database's clock is ahead of ours, as the quickest of some answers has it."""
    found = []
    for _ in range(ASKED):
        asked = _now()
        row = session.execute("select (extract(epoch from clock_timestamp()) * 1000000)::int8").fetchone()
        answered = _now()
        theirs = int(str(row[0])) if row else 0
        found.append((answered - asked, theirs - (asked + answered) // 2))
    return min(found)[1]


def _now() -> int:
    return time.time_ns() // 1000
