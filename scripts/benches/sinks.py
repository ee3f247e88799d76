"""Ways for rows that are columns already into the table `readings`: each stores a batch in one transaction.

Each gets the same columns, so what a way takes as Python objects is made while it is measured, in the fastest way that
we found: for instants, five times as fast as pyarrow's `to_pylist`. Of the forms that a way can have, the one that was
fastest here was taken: arrays in binary instead of text, 100 rows a statement with VALUES instead of 10 or 1,000.
Connections are in autocommit mode: a statement that is alone in its transaction needs no BEGIN and no COMMIT.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pgpq
import pyarrow as pa
from psycopg import Connection

from connectors.timescale import ledger
from connectors.timescale.ledger import PartitionKey, Row
from connectors.timescale.queries import query
from connectors.timescale.settings import ConflictPolicy
from connectors.timescale.writer import Conflict, PartitionRows, Writer
from schemas.instants import from_micros
from schemas.topics import READINGS
from scripts.benches.load import INTERVAL, LEVEL, METRICS, NOISE
from scripts.benches.measure import MeasureError
from streams.columns.batch import ROW_SCHEMA

TIDEGATE = "tidegate"
BARE_COPY = "bare COPY BINARY"
ORDERED_COPY = "bare COPY BINARY, in the order of the key"
ROW_COPY = "COPY BINARY, rows by psycopg"
STAGED = "staging table and ON CONFLICT DO NOTHING"
UNNEST = "INSERT ... SELECT FROM unnest(arrays)"
VALUES = "multi-row VALUES"
EXECUTEMANY = "executemany, pipelined"

DEVICES = 1000
# From the instant of a reading to its acceptance.
ON_ITS_WAY = timedelta(milliseconds=20)
MICROSECOND = timedelta(microseconds=1)

# Of one statement with VALUES, which takes 65,535 parameters at most, five a row.
VALUES_ROWS = 100

_COPY = "copy {} (ts, device_id, metric, value, accepted) from stdin (format binary)"
_COPY_READINGS = _COPY.format("readings")
_COPY_STAGED = _COPY.format("staged")
_INSERT_STAGED = """
insert into readings (ts, device_id, metric, value, accepted)
select ts, device_id, metric, value, accepted from staged
on conflict (device_id, metric, ts) do nothing
"""
_INSERT_ARRAYS = """
insert into readings (ts, device_id, metric, value, accepted)
select * from unnest(%b::timestamptz[], %b::text[], %b::text[], %b::float8[], %b::timestamptz[])
on conflict (device_id, metric, ts) do nothing
"""
_INSERT_VALUES = "insert into readings (ts, device_id, metric, value, accepted) values "
_TYPES = ("timestamptz", "text", "text", "float8", "timestamptz")
_KEY = [(name, "ascending") for name in ("device_id", "metric", "ts")]
_ONE_ROW = "(%s, %s, %s, %s, %s)"

Session = Connection[Row]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows (`ROW_SCHEMA`) with the offsets of their records, one row a record; and the same as COPY BINARY takes it.

    `encoded` has the rows in the order of the log, `encoded_in_order` in that of the table's unique index.
    """

    columns: pa.RecordBatch
    offsets: npt.NDArray[np.int64]
    encoded: bytes
    encoded_in_order: bytes

    def __len__(self) -> int:
        return len(self.offsets)

    def later(self, by: int) -> "Batch":
        """Give the same rows as records that stand `by` offsets further on in the log."""
        return replace(self, offsets=self.offsets + by)


Store = Callable[[Batch], None]


@dataclass(frozen=True, slots=True)
class Way:
    """A way into the table. `open` gives what stores a batch; `again`: a batch that comes again changes nothing."""

    name: str
    open: Callable[[Session], Store]
    again: bool = False


def batches(sizes: Sequence[int], end: datetime | None = None) -> list[Batch]:
    """Make batches of these many rows, one after the other in the log of one partition, no key twice.

    1,000 devices report in turns, ten times a second; the last rows are taken at `end` (now).
    """
    rows = sum(sizes)
    offsets = np.arange(rows)
    rounds, devices = np.divmod(offsets, DEVICES)
    first = (end or datetime.now(UTC)) - (rows // DEVICES + 1) * INTERVAL
    ts = round(first.timestamp() * 1e6) + rounds * (INTERVAL // MICROSECOND)
    values = np.round(LEVEL + NOISE * np.random.default_rng(1).standard_normal(rows), 3)
    names = pa.array([f"bench-{number:06d}" for number in range(DEVICES)])
    arrays = [
        _instants(ts),
        names.take(pa.array(devices)),
        pa.array([METRICS[0]] * rows),
        pa.array(values),
        _instants(ts + ON_ITS_WAY // MICROSECOND),
    ]
    log = pa.RecordBatch.from_arrays(arrays, schema=ROW_SCHEMA)
    firsts = [0, *itertools.accumulate(sizes)]
    return [
        _batch(log.slice(first, size), offsets[first : first + size])
        for first, size in zip(firsts, sizes, strict=False)
    ]


def _batch(columns: pa.RecordBatch, offsets: npt.NDArray[np.int64]) -> Batch:
    return Batch(columns, offsets, _encoded(columns), _encoded(columns.sort_by(_KEY)))


def _encoded(columns: pa.RecordBatch) -> bytes:
    encoder = pgpq.ArrowToPostgresBinaryEncoder(columns.schema)
    return bytes(encoder.write_header() + encoder.write_batch(columns) + encoder.finish())


def _instants(micros: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(ROW_SCHEMA.field("ts").type)


def tidegate(connection: Session) -> Store:
    """Store with Tidegate's own writer, a partition claimed: rows and the partition's mark in one transaction."""
    key = PartitionKey("bench", READINGS.name, "", 0)
    marks = ledger.claim(connection, key, owner="bench", log_start=0, log_end=np.iinfo(np.int64).max)
    writer = Writer(connection, ConflictPolicy.FIRST, _refuse)
    nothing = np.empty(0, dtype=np.int64)

    def store(batch: Batch) -> None:
        end = int(batch.offsets[-1]) + 1
        writer.write([PartitionRows(key, marks.epoch, end, batch.columns, batch.offsets, nothing)])

    return store


def bare_copy(connection: Session) -> Store:
    """Hand over what was encoded beforehand, and do nothing else."""

    def store(batch: Batch) -> None:
        with connection.cursor() as cursor, cursor.copy(_COPY_READINGS) as copy:
            copy.write(batch.encoded)

    return store


def ordered_copy(connection: Session) -> Store:
    """Do the same with rows that were put in the order of the unique index beforehand: the least that a row takes."""

    def store(batch: Batch) -> None:
        with connection.cursor() as cursor, cursor.copy(_COPY_READINGS) as copy:
            copy.write(batch.encoded_in_order)

    return store


def row_copy(connection: Session) -> Store:
    """Write row by row, which psycopg encodes."""

    def store(batch: Batch) -> None:
        with connection.cursor() as cursor, cursor.copy(_COPY_READINGS) as copy:
            copy.set_types(_TYPES)
            for row in _rows(batch):
                copy.write_row(row)

    return store


def staged(connection: Session) -> Store:
    """COPY into a temporary table, encoded as Tidegate does it, and insert from there what is not stored yet."""
    connection.execute(query("create_staging"))

    def store(batch: Batch) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy(_COPY_STAGED) as copy:
                copy.write(_encoded(batch.columns))
            cursor.execute(_INSERT_STAGED)

    return store


def unnest(connection: Session) -> Store:
    """Insert from arrays, one for each column, what is not stored yet."""

    def store(batch: Batch) -> None:
        connection.execute(_INSERT_ARRAYS, _lists(batch))

    return store


def values(connection: Session) -> Store:
    """Insert with statements of many VALUES."""

    def store(batch: Batch) -> None:
        rows = list(_rows(batch))
        with connection.transaction(), connection.cursor() as cursor:
            for first in range(0, len(rows), VALUES_ROWS):
                some = rows[first : first + VALUES_ROWS]
                insert = _INSERT_VALUES + ", ".join([_ONE_ROW] * len(some))
                cursor.execute(insert, list(itertools.chain.from_iterable(some)))

    return store


def executemany(connection: Session) -> Store:
    """Insert row by row, which psycopg sends without waiting for each answer (pipeline mode)."""

    def store(batch: Batch) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_INSERT_VALUES + _ONE_ROW, _rows(batch))

    return store


WAYS = (
    Way(TIDEGATE, tidegate, again=True),
    Way(BARE_COPY, bare_copy),
    Way(ORDERED_COPY, ordered_copy),
    Way(ROW_COPY, row_copy),
    Way(STAGED, staged, again=True),
    Way(UNNEST, unnest, again=True),
    Way(VALUES, values),
    Way(EXECUTEMANY, executemany),
)


def _lists(batch: Batch) -> list[list[object]]:
    """Give the columns as lists of Python objects."""
    ts, device_id, metric, value, accepted = batch.columns.columns
    return [_datetimes(ts), device_id.to_pylist(), metric.to_pylist(), value.to_pylist(), _datetimes(accepted)]


def _rows(batch: Batch) -> Iterable[tuple[object, ...]]:
    return zip(*_lists(batch), strict=True)


def _datetimes(instants: pa.Array) -> list[object]:
    return [from_micros(micros) for micros in instants.cast(pa.int64()).to_pylist()]


def _refuse(conflicts: Sequence[Conflict]) -> None:
    raise MeasureError(f"{len(conflicts)} rows were taken for conflicts, and there are none")
