"""Rows into `readings`, exactly once: COPY and the partition's mark in one transaction.

Steps, for one or several partitions in one transaction:
1. lock each partition's mark, in order, and refuse an older epoch;
2. drop the rows of records below the mark: they are stored already;
3. COPY BINARY straight into `readings`, in the order of its key, inside a savepoint;
4. only when a key is there already: COPY into a staging table, insert the keys that are new, find who stands and who
   loses of the others, hand over the losers (they must be safe in `dead-letters` before this commits), merge;
5. advance each mark, with the counts of what became of its records;
6. commit.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pgpq
import psycopg
import pyarrow as pa
from psycopg import Connection, Cursor

from connectors.timescale import ledger
from connectors.timescale.ledger import Counts, PartitionKey, Row
from connectors.timescale.queries import query
from connectors.timescale.settings import ConflictPolicy
from schemas.instants import from_micros

_COPY = "copy {} (ts, device_id, metric, value, accepted) from stdin (format binary)"
_COPY_READINGS = _COPY.format("readings")
_COPY_STAGED = _COPY.format("staged")

# Rows go to the database in the order of their unique index: neighbours in it are inserted one after the other, which
# takes the server four tenths less CPU time a row than the order of the log, and a device's rows come to lie together.
_KEY = [(name, "ascending") for name in ("device_id", "metric", "ts")]

_DAY_US = 24 * 60 * 60 * 1_000_000

# The winner is found by comparing (accepted, value): the order of arrival, replay and region do not matter.
_WORDS = {
    ConflictPolicy.FIRST: {"order": "asc", "better": "<"},
    ConflictPolicy.LAST: {"order": "desc", "better": ">"},
}


@dataclass(frozen=True, slots=True)
class PartitionRows:
    """What one partition has to store."""

    key: PartitionKey
    epoch: int
    next_offset: int  # after the last record, whether or not it became rows
    columns: pa.RecordBatch  # ts, device_id, metric, value, accepted, in the order of the log
    offsets: npt.NDArray[np.int64]  # of each row's record
    poison: npt.NDArray[np.int64]  # offsets of the records that went to dead-letters instead


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that lost against another one for the same device, metric and instant."""

    device_id: str
    metric: str
    ts: datetime
    value: float
    standing: float


OnConflicts = Callable[[Sequence[Conflict]], None]


class Writer:
    """Writes with one connection; not for several threads at once."""

    def __init__(self, connection: "Connection[Row]", policy: ConflictPolicy, on_conflicts: OnConflicts) -> None:
        """`on_conflicts` returns when the losers are safe, or raises: then nothing is stored."""
        self._connection = connection
        self._words = _WORDS[policy]
        self._on_conflicts = on_conflicts

    def write(self, parts: Sequence[PartitionRows]) -> Counts:
        """Store the rows of several partitions in one transaction and give the counts.

        Raises:
            FencedError: one of the partitions has another owner now; nothing is stored.

        """
        ordered = sorted(parts, key=lambda part: astuple(part.key))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            fresh = [self._fresh(part, ledger.lock(cursor, part.key, part.epoch)) for part in ordered]  # steps 1 and 2
            counts = self._store(cursor, fresh)  # steps 3 and 4
            for part, count in zip(fresh, counts, strict=True):  # step 5
                ledger.advance(cursor, part.key, part.next_offset, count)
        return sum(counts, Counts())

    @staticmethod
    def _fresh(part: PartitionRows, mark: int) -> PartitionRows:
        first = int(np.searchsorted(part.offsets, mark))
        return replace(
            part,
            next_offset=max(mark, part.next_offset),
            columns=part.columns.slice(first),
            offsets=part.offsets[first:],
            poison=part.poison[part.poison >= mark],
        )

    def _store(self, cursor: "Cursor[Row]", parts: Sequence[PartitionRows]) -> list[Counts]:
        poison = [Counts(poison=len(part.poison)) for part in parts]
        try:
            with self._connection.transaction():
                self._copy(cursor, _COPY_READINGS, parts)
        except psycopg.errors.UniqueViolation:
            # The way is slower, so only the partitions that have a collision should go it: one at a time.
            return [counted + self._merge(cursor, part) for part, counted in zip(parts, poison, strict=True)]
        return [counted + Counts(stored=len(part.offsets)) for part, counted in zip(parts, poison, strict=True)]

    def _merge(self, cursor: "Cursor[Row]", part: PartitionRows) -> Counts:
        if not len(part.offsets):
            return Counts()
        cursor.execute(query("create_staging"))
        cursor.execute("truncate staged")
        self._copy(cursor, _COPY_STAGED, [part])
        stored = cursor.execute(query("insert_new", **self._words)).rowcount
        conflicts: list[Conflict] = []
        for first, last in spans(part.columns.column("ts")):
            # prepare=False: a plan that is kept for other instants would search every chunk.
            values = {"first": first, "last": last}
            losers = cursor.execute(query("losers", **self._words), values, prepare=False)
            conflicts += map(_conflict, losers.fetchall())
        if conflicts:
            self._on_conflicts(conflicts)
        cursor.execute(query("merge", **self._words))
        # Each row that arrived is a key that is new, or brings one more value to a key: the same or another.
        return Counts(stored=stored, duplicates=len(part.offsets) - stored - len(conflicts), conflicts=len(conflicts))

    def _copy(self, cursor: "Cursor[Row]", statement: str, parts: Sequence[PartitionRows]) -> None:
        filled = [part for part in parts if len(part.offsets)]
        if not filled:
            return
        encoder = pgpq.ArrowToPostgresBinaryEncoder(filled[0].columns.schema)
        with cursor.copy(statement) as copy:
            copy.write(encoder.write_header())
            for part in filled:
                copy.write(encoder.write_batch(part.columns.sort_by(_KEY)))
            copy.write(encoder.finish())


def spans(ts: pa.Array) -> list[tuple[datetime, datetime]]:
    """Cut the instants of rows at gaps of more than a day, and give the first and the last instant of each span.

    One reading of long ago among those of today must not make all chunks between them be searched.
    """
    ordered = np.unique(ts.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy())
    cuts = np.flatnonzero(np.diff(ordered) > _DAY_US) + 1
    return [(from_micros(int(span[0])), from_micros(int(span[-1]))) for span in np.split(ordered, cuts)]


def _conflict(row: Row) -> Conflict:
    device_id, metric, ts, value, standing = row
    if not (isinstance(ts, datetime) and isinstance(value, float) and isinstance(standing, float)):
        raise TypeError("the statement `losers` gives (device_id, metric, ts, value, standing)")
    return Conflict(str(device_id), str(metric), ts, value, standing)
