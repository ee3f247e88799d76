"""What is stored under keys, and what was said of a part of the log."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from psycopg.types.json import Jsonb

from connectors.timescale import comparing
from connectors.timescale.connection import connect
from connectors.timescale.ledger import PartitionKey
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import OnConflicts, PartitionRows

pytestmark = pytest.mark.database

Part = Callable[..., PartitionRows]
Owned = tuple[PartitionKey, int]
Fetch = Callable[..., list[tuple[object, ...]]]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ACCEPTED_US = int(datetime(2026, 3, 1, 13, tzinfo=UTC).timestamp()) * 1_000_000


def test_rows_are_found_to_the_microsecond_and_what_is_not_stored_is_nothing(
    store: Store, owned: Owned, part: Part, nobody: OnConflicts
) -> None:
    store.write([part(owned, [(0, 1.5, 0), (0.000001, 2.5, 0.25), (2, -3.0, 7)])], nobody)
    store.write([part(owned, [(0, 4.0, 1)], at=3, start=LONG_AGO)], nobody)
    asked = pa.concat_batches(
        [
            part(owned, [(2, 0.0, 0), (1, 0.0, 0), (0.000001, 0.0, 0), (0, 0.0, 0), (0, 0.0, 0)]).columns,
            part(owned, [(0, 0.0, 0), (1, 0.0, 0)], start=LONG_AGO).columns,
            part(owned, [(0, 0.0, 0)], device="pump-8").columns,
        ]
    )
    found = store.standing_rows(asked)
    nan = np.nan
    np.testing.assert_array_equal(found.values, [-3.0, nan, 2.5, 1.5, 1.5, 4.0, nan, nan])
    accepted = np.where(np.isnan(found.values), 0, found.accepted - ACCEPTED_US)
    assert accepted.tolist() == [7_000_000, 0, 250_000, 0, 0, 1_000_000, 0, 0]
    assert len(store.standing_rows(asked.slice(0, 0)).values) == 0


def test_marks_are_those_of_this_life_of_the_topic(store: Store, owned: Owned, part: Part, nobody: OnConflicts) -> None:
    key, _ = owned
    store.write([part(owned, [(0, 1.5, 0)], poison=[1])], nobody)
    assert store.stored_until(key) == {0: 2}
    assert store.stored_until(PartitionKey(key.cluster_id, key.topic, "another life", 0)) == {}


def test_insights_are_found_by_where_their_readings_stand(database: DatabaseSettings) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    insert = (
        "insert into insights (id, request_id, region, tenant, device_id, metric, window_start, window_end, kind,"
        " severity, summary, source, prompt_tokens, completion_tokens, cost_usd, latency_s, created, detail)"
        " values (gen_random_uuid(), gen_random_uuid(), '', '', %s, 'm', %s, %s, 'spike', 'info', '', 'rules', 0, 0, 0,"
        " 0, %s, %s)"
    )
    places = {
        "before": ("readings", 1, 9, start),
        "first": ("readings", 1, 10, start),
        "last": ("readings", 1, 19, start),
        "after": ("readings", 1, 20, start),
        "elsewhere": ("readings", 2, 15, start),
        "mirrored": ("eu.readings", 1, 15, start),
        "asked": ("", 1, 15, start),
        "earlier": ("readings", 1, 15, start - timedelta(seconds=1)),
    }
    with connect(database, autocommit=True) as connection:
        for name, (topic, partition, offset, created) in places.items():
            detail = Jsonb({"topic": topic, "partition": partition, "last_offset": offset})
            connection.execute(insert, (name, start, start, created, detail))
        found = comparing.alarms(connection, "readings", {1: (10, 20), 3: (0, 100)}, start)
    assert {one.device_id for one in found} == {"first", "last"}


def test_requests_wait_until_they_are_answered(store: Store, fetch: Fetch) -> None:
    ids = [str(one) for (one,) in fetch("select gen_random_uuid() from generate_series(1, 3)")]
    add = "insert into tasks (id, device_id, request, insight) values (%s, 'd', '', %s) returning 1"
    fetch(add, ids[0], None)
    fetch(add, ids[1], ids[1])
    assert store.waiting_requests(ids) == {ids[0]}
