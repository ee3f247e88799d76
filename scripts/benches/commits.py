"""When rows were committed, as the database itself wrote it down; and the rate that follows from it.

Nothing is counted while a system runs: PostgreSQL keeps the time of every commit (`track_commit_timestamp`), and each
row names the transaction that wrote it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg import Connection

# The part of the rows that is left out at the beginning: connecting, first fetches, caches that fill.
LEFT_OUT = 0.15

_COMMITS = """
select extract(epoch from pg_xact_commit_timestamp(xid))::float8 as at, rows
from (select xmin as xid, count(*) as rows from readings group by xmin) as transactions
order by at
"""


@dataclass(frozen=True, slots=True)
class Span:
    """From one commit to the last one: Unix times in seconds, and the rows that were committed in between."""

    first: float
    last: float
    rows: int

    @property
    def rows_per_s(self) -> float:
        """The rate."""
        return self.rows / (self.last - self.first)


def span(at: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], left_out: float = LEFT_OUT) -> Span | None:
    """Find the span to be measured: it begins with the commit that completes the part to be left out.

    `at` has the times of the commits in order, `rows` how many rows each brought. None: there are too few commits.
    """
    if not len(rows):
        return None
    done = np.cumsum(rows)
    first = int(np.searchsorted(done, left_out * done[-1]))
    if at[-1] <= at[first]:
        return None
    return Span(float(at[first]), float(at[-1]), int(done[-1] - done[first]))


def read(connection: "Connection[tuple[object, ...]]") -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Read when the rows of `readings` were committed: times in order, and how many rows each commit brought."""
    found = connection.execute(_COMMITS).fetchall()
    at = np.array([row[0] for row in found], dtype=np.float64)
    return at, np.array([row[1] for row in found], dtype=np.int64)
