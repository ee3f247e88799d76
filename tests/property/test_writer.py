"""However a log is cut into batches and redelivered, the table and the counts are those of a simple model."""

import itertools
import math
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, PartitionKey
from connectors.timescale.migrate import migrate
from connectors.timescale.settings import ConflictPolicy, DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, PartitionRows
from streams.columns.batch import ROW_SCHEMA

pytestmark = pytest.mark.database

START = datetime(2026, 3, 1, 23, 59, 58, tzinfo=UTC)  # so that the keys are of two days
SECONDS = 4
TOPICS = itertools.count()

Row = tuple[int, float, int]  # second, value, accepted
Log = list[list[Row]]  # entry i: the rows of the record at offset i; none where it is poison


@dataclass
class Model:
    """The table and the counts, a row at a time."""

    policy: ConflictPolicy
    table: dict[int, tuple[int, float]] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    lost: Counter[tuple[int, float]] = field(default_factory=Counter)

    def write(self, records: Log) -> None:
        arrived = [row for record in records for row in record]
        self.counts += Counts(poison=sum(not record for record in records))
        for second in {second for second, _, _ in arrived}:
            said = [(accepted, value) for at, value, accepted in arrived if at == second]
            known = self.table.get(second)
            everything = said + ([] if known is None else [known])
            best = (min if self.policy is ConflictPolicy.FIRST else max)(everything)
            others = [value for _, value in everything if value != best[1]]
            self.lost.update((second, value) for value in others)
            new = known is None
            self.counts += Counts(new, len(said) - new - len(others), len(others))
            self.table[second] = best


def part(key: PartitionKey, epoch: int, log: Log, first: int, last: int) -> PartitionRows:
    rows = [(offset, *row) for offset in range(first, last) for row in log[offset]]
    arrays = [
        pa.array([START + timedelta(seconds=second) for _, second, _, _ in rows], ROW_SCHEMA.field("ts").type),
        pa.array([key.topic] * len(rows), pa.string()),
        pa.array(["m"] * len(rows), pa.string()),
        pa.array([value for _, _, value, _ in rows], pa.float64()),
        pa.array([START + timedelta(seconds=at) for *_, at in rows], ROW_SCHEMA.field("accepted").type),
    ]
    return PartitionRows(
        key,
        epoch,
        next_offset=last,
        columns=pa.RecordBatch.from_arrays(arrays, schema=ROW_SCHEMA),
        offsets=np.array([offset for offset, *_ in rows], dtype=np.int64),
        poison=np.array([offset for offset in range(first, last) if not log[offset]], dtype=np.int64),
    )


@pytest.fixture(scope="module")
def database(postgres_server: Server) -> Iterator[DatabaseSettings]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    made = DatabaseSettings(url=SecretStr(make_conninfo(postgres_server.address, dbname=name)))
    with connect(made, autocommit=True) as connection:
        migrate(connection)
    yield made
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="module", params=list(ConflictPolicy))
def store(request: pytest.FixtureRequest, database: DatabaseSettings) -> Iterator[tuple[Store, ConflictPolicy]]:
    opened = Store(database.model_copy(update={"conflict_policy": request.param}))
    yield opened, request.param
    opened.close()


rows = st.tuples(st.integers(0, SECONDS - 1), st.sampled_from([0.0, -0.0, 1.0, -1e300]), st.integers(0, 2))
logs = st.lists(st.lists(rows, max_size=2), max_size=12)
# For each delivery: which partitions take part, how far back each begins, how many records it brings.
steps = st.lists(st.tuples(st.sampled_from([(0,), (1,), (0, 1)]), st.integers(0, 6), st.integers(0, 8)), max_size=8)


@given(log=st.tuples(logs, logs), deliveries=steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cutting_and_any_redelivery_gives_the_models_table_and_counts(
    database: DatabaseSettings,
    store: tuple[Store, ConflictPolicy],
    log: tuple[Log, Log],
    deliveries: Sequence[tuple[Sequence[int], int, int]],
) -> None:
    writes, policy = store
    topic = f"t-{next(TOPICS)}"
    keys = [PartitionKey("cluster", topic, "", number) for number in range(2)]
    epochs = [writes.claim(key, owner="test", log_start=0, log_end=0).epoch for key in keys]
    model, counts, marks = Model(policy), Counts(), [0, 0]
    lost: Counter[tuple[int, float]] = Counter()

    def take(conflicts: Sequence[Conflict]) -> None:
        lost.update((round((loser.ts - START).total_seconds()), loser.value) for loser in conflicts)

    for numbers, back, forward in [*deliveries, ((0, 1), 99, 99)]:
        parts = []
        for number in numbers:
            first = max(marks[number] - back, 0)
            last = min(first + forward, len(log[number]))
            parts.append(part(keys[number], epochs[number], log[number], first, last))
            if last > marks[number]:
                model.write(log[number][marks[number] : last])
                marks[number] = last
        counts += writes.write(parts[::-1], take)

    with connect(database) as connection:
        stands = connection.execute(
            "select extract(epoch from ts - %s)::int, extract(epoch from accepted - %s)::int, value from readings"
            " where device_id = %s",
            (START, START, topic),
        ).fetchall()
        kept = connection.execute(
            "select sum(stored)::int, sum(duplicates)::int, sum(conflicts)::int, sum(poison)::int, array_agg("
            "next_offset order by partition) from sink_offsets where topic = %s",
            (topic,),
        ).fetchone()
    assert {second: (accepted, value) for second, accepted, value in stands} == model.table
    assert all(math.isfinite(value) for _, _, value in stands)  # type: ignore[arg-type]  # a float
    assert counts == model.counts
    assert lost == model.lost
    assert kept == (counts.stored, counts.duplicates, counts.conflicts, counts.poison, [len(part) for part in log])
    # In whatever order they came: of all that was said of a key, the policy's choice stands.
    every = [row for records in log for record in records for row in record]
    choose = min if policy is ConflictPolicy.FIRST else max
    for second in {second for second, _, _ in every}:
        assert model.table[second] == choose((accepted, value) for at, value, accepted in every if at == second)
    assert counts.stored + counts.duplicates + counts.conflicts == len(every)
