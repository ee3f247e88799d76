"""`scripts/bench sink`: how rows that are columns already get into the table `readings`, Tidegate's way among others.

All run in this process through one connection, a transaction a batch, and are timed from the first batch to the answer
to the last commit. CPU time is that of the one thread in which a way runs: what the database takes for a row is not in
it, nor what showing the progress takes, which is as much as a bare COPY of large batches.
"""

import contextlib
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from connectors.timescale.connection import connect
from connectors.timescale.settings import DatabaseSettings
from scripts.benches import machine, servers, sinks
from scripts.benches.command import Json, Runs, Step, progress, publish, say
from scripts.benches.measure import Measured, MeasureError
from scripts.benches.report import Goal, Report, Result, ratio
from scripts.benches.sinks import ORDERED_COPY, TIDEGATE, WAYS, Batch, Session, Store, Way

SUMMARY = "Columns into the table readings: Tidegate's writer, five other ways of psycopg's, and bare COPY BINARY."
EXAMPLES = "Examples: [bold]scripts/bench sink[/] · [bold]scripts/bench sink --runs 1 --json[/]"

SIZES = (1_000, 5_000, 20_000)
# At most about a second of each way. Slow ways write fewer rows; that their index stays smaller is in their favour.
ROWS = {
    TIDEGATE: 160_000,
    sinks.BARE_COPY: 160_000,
    ORDERED_COPY: 160_000,
    sinks.ROW_COPY: 100_000,
    sinks.STAGED: 80_000,
    sinks.UNNEST: 80_000,
    sinks.VALUES: 40_000,
    sinks.EXECUTEMANY: 20_000,
}
# How many of them come again as new records.
REPEATED = 40_000
# Rows of the batch that warms a connection up; it is not counted.
WARM_UP = 100
WANTED = 0.7


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: how often rows are stored, or how often they are offered in vain."""

    metric: str
    ratio: str  # what its ratios are called


FRESH = Kind("committed rows", "")
BELOW = Kind("the same again, below the mark", "again below the mark, ")
REPEATS = Kind("the same keys as new records", "as new records, ")
AGAIN = (BELOW, REPEATS)

Figures = Mapping[tuple[str, Kind, int], Sequence[Measured]]


def command(*, runs: Runs = 5, as_json: Json = False) -> None:
    """Measure all ways, interleaved, with batches of 1,000, 5,000 and 20,000 rows of 1,000 devices.

    Ways that are exactly once get the same batches again: below the mark, where Tidegate skips them, and as new
    records, which it merges. The others insert them again, and the database does nothing where a key stands already:
    to them both are the same, and a value that says something else would be lost without a word.
    """
    with servers.running(("database",), say=say) as running, running.new_database() as settings:
        versions = machine.versions((*machine.PACKAGES, "pgpq")) | dict(running.versions)
        with progress(runs * len(SIZES) * len(WAYS)) as step:
            figures = _measure_all(settings.database, runs, step)
    publish(report(figures, versions), as_json=as_json)


def report(figures: Figures, versions: Mapping[str, str]) -> Report:
    """Compose what is said of the figures: of every way in every size of batch, measured or not."""
    results = [
        Result(way.name, f"{what}, {_batches(size)}", unit, tuple(map(read, figures.get((way.name, kind, size), ()))))
        for size in SIZES
        for kind, what, unit, read in _WHAT
        for way in _ways(kind)
    ]
    ratios = {name: value for size in SIZES for kind in (FRESH, *AGAIN) for name, value in _ratios(figures, kind, size)}
    limit = f"{TIDEGATE} / {ORDERED_COPY}, {_batches(SIZES[-1])}"
    return Report("sink", machine.machine(), versions, results, ratios, [Goal(limit, ratios[limit], WANTED)])


def measure(settings: DatabaseSettings, way: Way, size: int, rows: int) -> dict[Kind, Measured]:
    """Empty the table, and let a way store so many rows in batches of so many; once more those that may be repeated.

    Raises:
        MeasureError: not each row stands in the table once.

    """
    warm_up, *log = sinks.batches([WARM_UP, *[size] * (rows // size)])
    with connect(settings, autocommit=True) as connection:
        _empty(connection)
        store = way.open(connection)
        store(warm_up)
        found = {FRESH: _timed(store, log)}
        if way.again:
            found[BELOW] = _timed(store, log)
            found[REPEATS] = _timed(store, [batch.later(WARM_UP + rows) for batch in log[: max(1, REPEATED // size)]])
        _check(connection, WARM_UP + rows)
    return found


def _rows_per_s(measured: Measured) -> float:
    return measured.rows_per_s


def _cpu_us(measured: Measured) -> float:
    return measured.cpu_us_per_row


_WHAT: tuple[tuple[Kind, str, str, Callable[[Measured], float]], ...] = (
    (FRESH, FRESH.metric, "rows/s", _rows_per_s),
    (FRESH, "client CPU", "µs/row", _cpu_us),
    *((kind, kind.metric, "rows/s", _rows_per_s) for kind in AGAIN),
)


def _batches(size: int) -> str:
    return f"batches of {size:,}"


def _ways(kind: Kind) -> Sequence[Way]:
    return WAYS if kind is FRESH else [way for way in WAYS if way.again]


def _ratios(figures: Figures, kind: Kind, size: int) -> Iterator[tuple[str, float | None]]:
    """Divide the rate of Tidegate by that of each other way."""
    medians = {
        way.name: Result("", "", "", tuple(map(_rows_per_s, figures.get((way.name, kind, size), ())))).median
        for way in _ways(kind)
    }
    for name, median in medians.items():
        if name != TIDEGATE:
            yield f"{TIDEGATE} / {name}, {kind.ratio}{_batches(size)}", ratio(medians[TIDEGATE], median)


def _measure_all(settings: DatabaseSettings, runs: int, step: Step) -> Figures:
    """Measure run after run, in each all ways one after the other: what slows the machine slows all alike."""
    figures: dict[tuple[str, Kind, int], list[Measured]] = defaultdict(list)
    for run in range(1, runs + 1):
        for size in SIZES:
            for way in WAYS:
                what = f"{way.name}, {_batches(size)}, run {run}"
                step(f"{what} of {runs}")
                try:
                    found = measure(settings, way, size, ROWS[way.name])
                except MeasureError as error:
                    say(f"{what}: {error}")
                    continue
                for kind, measured in found.items():
                    figures[way.name, kind, size].append(measured)
    return figures


def _timed(store: Store, batches: Sequence[Batch]) -> Measured:
    gc.collect()
    rows = sum(map(len, batches))
    cpu_s, began = time.thread_time(), time.perf_counter()
    for batch in batches:
        store(batch)
    took, cpu_s = time.perf_counter() - began, time.thread_time() - cpu_s
    return Measured(rows / took, cpu_s / rows * 1e6)


def _empty(connection: Session) -> None:
    """Forget all rows and marks, and write out what they left behind, if we may ask for it."""
    connection.execute("truncate readings, sink_offsets")
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        connection.execute("checkpoint")


def _check(connection: Session, rows: int) -> None:
    """See to it that the table has so many rows; their keys are unique."""
    (found,) = connection.execute("select count(*) from readings").fetchone() or (0,)
    if found != rows:
        raise MeasureError(f"the table has {found} rows instead of {rows}")
