"""Writing into chunks that became columnar: slower, and otherwise the same."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, Marks, PartitionKey
from connectors.timescale.settings import ConflictPolicy, DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, OnConflicts, PartitionRows

pytestmark = [pytest.mark.database, pytest.mark.usefixtures("timescale")]

Part = Callable[..., PartitionRows]
Table = Callable[[], list[tuple[object, ...]]]
Fetch = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def compress(database: DatabaseSettings) -> Callable[[], int]:
    """Make all chunks columnar; give how many there are."""

    def run() -> int:
        with connect(database, autocommit=True) as connection:
            chunks = connection.execute("select compress_chunk(c) from show_chunks('readings') c").fetchall()
            (columnar,) = connection.execute(
                "select count(*) from timescaledb_information.chunks"
                " where hypertable_name = 'readings' and is_compressed"
            ).fetchone() or (0,)
        assert columnar == len(chunks)
        return len(chunks)

    return run


@pytest.mark.parametrize(("policy", "stands"), [(ConflictPolicy.FIRST, 1.0), (ConflictPolicy.LAST, 2.0)])
def test_new_rows_duplicates_and_conflicts(
    open_store: Callable[..., Store],
    key: PartitionKey,
    claim: Callable[..., Marks],
    part: Part,
    table: Table,
    compress: Callable[[], int],
    policy: ConflictPolicy,
    stands: float,
) -> None:
    store = open_store(policy)
    owned = key, claim(store).epoch
    lost: list[Conflict] = []
    day = timedelta(days=1).total_seconds()
    log = [(day * number + second, 1.0, 0.0) for number in range(3) for second in range(0, 3000, 3)]
    assert store.write([part(owned, log)], lost.extend) == Counts(stored=3000)
    assert compress() == 3
    new = [(1.0, 1.0, 0.0), (2.0, 1.0, 0.0)]
    assert store.write([part(owned, new, at=3000)], lost.extend) == Counts(stored=2)
    mixed = [(3.0, 1.0, 1.0), (6.0, 2.0, 1.0), (4.0, 1.0, 1.0), (day, 2.0, 1.0), (day + 1, 1.0, 1.0)]
    assert store.write([part(owned, mixed, at=3002)], lost.extend) == Counts(stored=2, duplicates=1, conflicts=2)
    assert {(conflict.value, conflict.standing) for conflict in lost} == {(3.0 - stands, stands)}
    values = {second: value for second, value, _ in table()}
    assert len(values) == 3004
    assert (values[6.0], values[day], values[3.0], values[day + 1]) == (stands, stands, 1.0, 1.0)
    before = table()
    compress()
    assert table() == before


def test_a_whole_redelivery_finds_every_row_in_columns(
    store: Store,
    key: PartitionKey,
    claim: Callable[..., Marks],
    part: Part,
    table: Table,
    compress: Callable[[], int],
    nobody: OnConflicts,
) -> None:
    """As when a topic is read again from its start: from another partition, so that no mark helps."""
    owned = key, claim(store).epoch
    other = PartitionKey(key.cluster_id, "eu.readings", "life-1", 0)
    log = [(float(second), float(second), 0.0) for second in range(2000)]
    store.write([part(owned, log)], lambda _: None)
    compress()
    again = part((other, claim(store, other).epoch), log)
    assert store.write([again], nobody) == Counts(duplicates=2000)
    assert table() == log
