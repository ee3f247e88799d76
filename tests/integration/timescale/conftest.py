"""A partition's log in a few words, and a store to write it with."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.ledger import Marks, PartitionKey
from connectors.timescale.settings import ConflictPolicy, DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, PartitionRows
from streams.columns.batch import ROW_SCHEMA

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCEPTED = datetime(2026, 3, 1, 13, tzinfo=UTC)

# One record with one metric: (seconds after START, value, seconds after ACCEPTED).
Record = tuple[float, float, float]


@pytest.fixture
def key() -> PartitionKey:
    return PartitionKey("cluster", "readings", "life-1", 0)


def columns(records: Sequence[Record], start: datetime, device: str) -> pa.RecordBatch:
    arrays = [
        pa.array([start + timedelta(seconds=after) for after, _, _ in records], ROW_SCHEMA.field("ts").type),
        pa.array([device] * len(records), pa.string()),
        pa.array(["temperature"] * len(records), pa.string()),
        pa.array([value for _, value, _ in records], pa.float64()),
        pa.array([ACCEPTED + timedelta(seconds=after) for *_, after in records], ROW_SCHEMA.field("accepted").type),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=ROW_SCHEMA)


@pytest.fixture
def part() -> Callable[..., PartitionRows]:
    """Make what one partition has to store: records one after the other from the offset `at`, all of one device."""

    def make(  # noqa: PLR0913  # a test names the two or three it is about
        marked: tuple[PartitionKey, int],
        records: Sequence[Record],
        *,
        at: int = 0,
        start: datetime = START,
        device: str = "pump-7",
        poison: Sequence[int] = (),
    ) -> PartitionRows:
        owned, epoch = marked
        return PartitionRows(
            owned,
            epoch,
            next_offset=at + len(records) + len(poison),
            columns=columns(records, start, device),
            offsets=np.arange(at, at + len(records), dtype=np.int64),
            poison=np.array(poison, dtype=np.int64),
        )

    return make


@pytest.fixture
def kind(database: DatabaseSettings) -> DatabaseKind:
    with connect(database, autocommit=True) as connection:
        return kind_of(connection)


@pytest.fixture
def timescale(kind: DatabaseKind) -> None:
    if kind is not DatabaseKind.TIMESCALEDB:
        pytest.skip("needs TimescaleDB (TIDEGATE_TEST_TIMESCALE_URL)")


@pytest.fixture
def plain(kind: DatabaseKind) -> None:
    if kind is not DatabaseKind.POSTGRESQL:
        pytest.skip("is about PostgreSQL without TimescaleDB")


@pytest.fixture
def open_store(database: DatabaseSettings) -> Iterator[Callable[..., Store]]:
    """Open stores that are closed at the end."""
    opened: list[Store] = []

    def make(policy: ConflictPolicy = ConflictPolicy.FIRST, patience_s: float = 20.0) -> Store:
        opened.append(Store(database.model_copy(update={"conflict_policy": policy}), patience_s=patience_s))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


@pytest.fixture
def claim(key: PartitionKey) -> Callable[..., Marks]:
    def take(by: Store, name: PartitionKey = key, *, log_start: int = 0, log_end: int = 10**6) -> Marks:
        return by.claim(name, owner="test", log_start=log_start, log_end=log_end)

    return take


@pytest.fixture
def owned(store: Store, key: PartitionKey, claim: Callable[..., Marks]) -> tuple[PartitionKey, int]:
    """The partition, claimed, with its epoch."""
    return key, claim(store).epoch


@pytest.fixture
def table(fetch: Callable[..., list[tuple[object, ...]]]) -> Callable[[], list[tuple[object, ...]]]:
    """Give what stands in `readings`, as (seconds after START, value, seconds after ACCEPTED)."""
    return lambda: fetch(
        "select extract(epoch from ts - %s)::float8, value, extract(epoch from accepted - %s)::float8"
        " from readings order by device_id, metric, ts",
        START,
        ACCEPTED,
    )


@pytest.fixture
def nobody() -> Callable[[Sequence[Conflict]], None]:
    """What to do with conflicts where there must be none."""

    def refuse(conflicts: Sequence[Conflict]) -> None:
        raise AssertionError(conflicts)

    return refuse
