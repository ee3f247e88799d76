"""A collision must not cost more because the table is old: it opens the chunks of its own days and no others."""

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.ledger import Counts, PartitionKey
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, PartitionRows

pytestmark = pytest.mark.database

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 60
OPENED_BY_THE_WRITER = """
    select distinct held.relation::regclass::text from pg_locks held
    join pg_locks writer on writer.pid = held.pid and writer.relation = 'sink_offsets'::regclass
                        and writer.mode = 'RowShareLock'
    join pg_inherits on inhrelid = held.relation and inhparent = 'readings'::regclass
    where held.relation <> coalesce(to_regclass('readings_default'), 0)
"""


def test_a_collision_opens_only_the_days_that_it_is_about(
    fresh_database: DatabaseSettings, key: PartitionKey, part: Callable[..., PartitionRows]
) -> None:
    """Three days next to each other and one two months later, again and again, as until a plan would be kept."""
    opened: list[tuple[object, ...]] = []
    with connect(fresh_database, autocommit=True) as other, closing(Store(fresh_database)) as store:
        if kind_of(other) is DatabaseKind.POSTGRESQL:
            for day in range(DAYS):
                begin = FIRST + timedelta(days=day)
                other.execute(
                    f"create table readings_{begin:%Y%m%d} partition of readings"
                    f" for values from ('{begin}') to ('{begin + timedelta(days=1)}')".encode()
                )

        def look(_: Sequence[Conflict]) -> None:
            opened[:] = other.execute(OPENED_BY_THE_WRITER).fetchall()

        owned = key, store.claim(key, owner="test", log_start=0, log_end=0).epoch
        store.write([part(owned, [(86400 * day, 1, 0) for day in range(DAYS)], start=FIRST)], look)
        again = [(86400 * day, 2, 1) for day in (0, 1, 2, DAYS - 1)]
        for at in range(DAYS, DAYS + 4 * 12, 4):
            assert store.write([part(owned, again, at=at, start=FIRST)], look) == Counts(conflicts=4)
            assert len(opened) == 4, opened
