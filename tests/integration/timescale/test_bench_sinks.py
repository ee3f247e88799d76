"""The ways that the bench `sink` measures: each stores the rows that it is given, all of them and no others."""

from collections.abc import Callable, Sequence

import pytest

from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, totals
from connectors.timescale.settings import DatabaseSettings
from scripts.benches.measure import MeasureError
from scripts.benches.sink import BELOW, FRESH, REPEATS, measure
from scripts.benches.sinks import TIDEGATE, WAYS, Batch, Session, Store, Way, batches

pytestmark = pytest.mark.database

Rows = list[tuple[object, ...]]
AGAIN = [way for way in WAYS if way.again]


def expected(given: Sequence[Batch]) -> Rows:
    return sorted((tuple(row.values()) for batch in given for row in batch.columns.to_pylist()), key=str)


@pytest.fixture
def stored(fetch: Callable[..., Rows]) -> Callable[[], Rows]:
    return lambda: sorted(fetch("select ts, device_id, metric, value, accepted from readings"), key=str)


def named(way: Way) -> str:
    return way.name


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_every_way_stores_the_rows_as_they_are(
    database: DatabaseSettings, stored: Callable[[], Rows], way: Way
) -> None:
    given = batches([100, 1250, 1])
    with connect(database, autocommit=True) as connection:
        store = way.open(connection)
        for batch in given:
            store(batch)
    assert stored() == expected(given)


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_every_way_commits_each_batch_as_a_whole(
    database: DatabaseSettings, fetch: Callable[..., Rows], way: Way
) -> None:
    """As many transactions as batches: the ways are compared at the same durability."""
    given = batches([300, 300])
    with connect(database, autocommit=True) as connection:
        store = way.open(connection)
        for batch in given:
            store(batch)
    # A row that came inside a savepoint names that one instead of its transaction; there is one a batch at most.
    assert fetch("select count(*) from readings group by xmin") == [(300,), (300,)]


@pytest.mark.parametrize("way", AGAIN, ids=named)
def test_what_comes_again_changes_nothing(database: DatabaseSettings, stored: Callable[[], Rows], way: Way) -> None:
    given = batches([100, 200])
    with connect(database, autocommit=True) as connection:
        store = way.open(connection)
        for batch in given:
            store(batch)
        for batch in (*given, *(batch.later(300) for batch in given)):
            store(batch)
    assert stored() == expected(given)


def test_tidegate_skips_what_is_below_the_mark_and_counts_what_is_not_as_duplicates(
    database: DatabaseSettings,
) -> None:
    (way,) = (way for way in WAYS if way.name == TIDEGATE)
    (batch,) = batches([200])
    with connect(database, autocommit=True) as connection:
        store = way.open(connection)
        store(batch)
        store(batch)
        assert totals(connection) == Counts(stored=200)
        store(batch.later(200))
        assert totals(connection) == Counts(stored=200, duplicates=200)


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_measurement_begins_with_an_empty_table(
    database: DatabaseSettings, fetch: Callable[..., Rows], way: Way
) -> None:
    kinds = {FRESH, BELOW, REPEATS} if way.again else {FRESH}
    for _ in range(2):
        found = measure(database, way, size=50, rows=150)
        assert set(found) == kinds
        assert all(measured.rows_per_s > 0 and measured.cpu_us_per_row > 0 for measured in found.values())
        assert fetch("select count(*) from readings") == [(250,)]


def test_a_way_that_loses_rows_is_not_measured(database: DatabaseSettings) -> None:
    def forgetful(_: Session) -> Store:
        return lambda _: None

    with pytest.raises(MeasureError, match="the table has 0 rows instead of 150"):
        measure(database, Way("forgetful", forgetful), size=50, rows=50)
