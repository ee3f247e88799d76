"""One measurement: one system, one load, a database of its own."""

import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import Connection

from connectors.errors import ConnectorError
from connectors.timescale.connection import connect
from scripts.benches import commits, visible
from scripts.benches.commits import Span
from scripts.benches.load import Load
from scripts.benches.processes import Watched, watched
from scripts.benches.systems import System
from streams.settings import Settings

POLL_S = 0.25
# A table that has not grown for so many looks is counted.
STILL = 2
STARTED_WITHIN_S = 45.0
STALLED_S = 10.0
# A slow system is stopped after this long, counted from its first rows.
LONGEST_S = 6.0

# Of the table's parts, be they native partitions or chunks: reading their length costs next to nothing.
_SIZE = """
select coalesce(sum(pg_relation_size(inhrelid)), 0)::bigint from pg_inherits where inhparent = 'readings'::regclass
"""

Session = Connection[tuple[object, ...]]


class MeasureError(ConnectorError):
    """A system did not do what is measured; the message says what it did."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run showed."""

    rows_per_s: float
    cpu_us_per_row: float


def measure(system: System, load: Load, settings: Settings, folder: Path) -> Measured:
    """Start a system, watch it until all rows are committed or its time is over, and kill it.

    Raises:
        MeasureError: it ended by itself, or committed too little.

    """
    with connect(settings.database, autocommit=True) as session:
        _settle(session)
        ahead = visible.ahead(session) / visible.US_PER_S
        variables = system.variables(settings, load, folder)
        with watched(system.command(), folder=folder, environment=variables) as process:
            _until_done(process, session, load)
            process.sample()
        span = commits.span(*commits.read(session))
        if span is None:
            raise MeasureError(f"{system.name} committed too few batches to be measured")
        cpu_s = process.cpu_s(span.first - ahead, span.last - ahead)
        return _measured(span, cpu_s)


def _measured(span: Span, cpu_s: float) -> Measured:
    return Measured(rows_per_s=span.rows_per_s, cpu_us_per_row=cpu_s / span.rows * 1e6)


def _until_done(process: Watched, session: Session, load: Load) -> None:
    began = grew = time.monotonic()
    first_rows: float | None = None
    size = still = 0
    while True:
        time.sleep(POLL_S)
        process.sample()
        if not process.alive:
            raise MeasureError(f"it ended by itself: {process.last_words()}")
        before, size = size, _number(session, _SIZE)
        now = time.monotonic()
        if size > before:
            first_rows, grew, still = first_rows or now, now, 0
            if now - first_rows > LONGEST_S:
                return
            continue
        if first_rows is None:
            if now - began > STARTED_WITHIN_S:
                raise MeasureError(f"no row within {STARTED_WITHIN_S:.0f} s: {process.last_words()}")
            continue
        still += 1
        if still == STILL and _number(session, "select count(*) from readings") >= load.rows:
            return
        if now - grew > STALLED_S:
            done = _number(session, "select count(*) from readings")
            raise MeasureError(
                f"no more rows for {STALLED_S:.0f} s after {done} of {load.rows}: {process.last_words()}"
            )


def _settle(session: Session) -> None:
    """Let the database write out what the measurement before left behind, if we may ask it to."""
    try:
        session.execute("checkpoint")
    except psycopg.errors.InsufficientPrivilege:
        return


def _number(session: Session, statement: str) -> int:
    row = session.execute(statement.encode()).fetchone()
    return int(str(row[0])) if row else 0
