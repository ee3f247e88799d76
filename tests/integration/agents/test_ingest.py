"""The ingest agent dies between any two of its steps, another one goes on: nothing is lost, repeated or asked twice."""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import numpy as np
import pytest

from connectors.clock import SystemClock
from connectors.kafka.admin import Admin, Bounds, TopicState
from connectors.kafka.producer import Outgoing, Producer
from connectors.timescale import snapshots
from connectors.timescale.connection import connect
from connectors.timescale.ledger import FencedError, LogChangedError, PartitionKey
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from schemas.codec import decode, encode
from schemas.models import AnalysisRequest, DeadLetter, Reading
from schemas.topics import ANALYSIS_REQUESTS, DEAD_LETTERS
from streams.agents.ingest import Alarm, Detection, Ingest, Outside, merge
from streams.agents.poison_limit import PoisonLimitError
from streams.columns.batch import RawBatch
from streams.detect.detector import DETECTOR
from streams.detect.layout import FULL
from streams.detect.state import SeriesTable

pytestmark = [pytest.mark.database, pytest.mark.timeout(240)]

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
ACCEPTED = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000
READINGS = 330  # enough to be past the detectors' probation
FULL_BYTES = 2 * FULL.itemsize  # some series of a partition are in each tier
COLUMNS = ("offsets", "accepted", "keys", "values")
CALLS = ("claim", "load_snapshot", "write", "see_devices", "devices", "limits", "save_snapshot")


class DiedError(Exception):
    """The process is gone."""


@dataclass
class Mortal:
    """Counts what is asked of the outside world, and dies at one of these moments."""

    dies_at: int | None = None
    after: bool = False
    calls: int = 0

    def step(self, work: Callable[[], T]) -> T:
        place, self.calls = self.calls, self.calls + 1
        if place == self.dies_at and not self.after:
            raise DiedError
        result = work()
        if place == self.dies_at:
            raise DiedError
        return result


class MortalStore:
    """A store of a mortal process."""

    def __init__(self, store: Store, mortal: Mortal) -> None:
        for name in CALLS:
            call = getattr(store, name)
            setattr(self, name, lambda *args, _call=call, **named: mortal.step(lambda: _call(*args, **named)))


@dataclass
class Log:
    """A topic's log, and what was produced to others: what outlives a process."""

    partitions: list[RawBatch]
    topic: str
    cluster: str = "c"
    topic_id: str = "t"
    start: int = 0
    produced: list[Outgoing] = field(default_factory=list)

    # connectors.kafka.admin.Admin
    def cluster_id(self) -> str:
        return self.cluster

    def topics(self, names: Iterable[str]) -> dict[str, TopicState]:
        return {name: TopicState(name, self.topic_id, len(self.partitions)) for name in names}

    def bounds(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Bounds]:
        return {(topic, number): Bounds(self.start, self.partitions[number].end) for topic, number in partitions}

    def names(self) -> list[tuple[str, int]]:
        return [(self.topic, number) for number in range(len(self.partitions))]

    def ids(self, topic: str) -> list[str]:
        values = [record.value for record in self.produced if record.topic == topic]
        if topic == ANALYSIS_REQUESTS.name:
            return [decode(value, AnalysisRequest).id for value in values]
        return [decode(value, DeadLetter).id for value in values]


@dataclass
class MortalProducer:
    """A producer of a mortal process."""

    log: Log
    mortal: Mortal

    def publish(self, records: Iterable[Outgoing]) -> None:
        records = list(records)
        if records:
            self.mortal.step(lambda: self.log.produced.extend(records))


def agent(log: Log, store: Store, mortal: Mortal, alarm: Alarm = lambda _action, _detail: None) -> Ingest:
    outside = Outside(
        [cast("Store", MortalStore(store, mortal))],
        cast("Producer", MortalProducer(log, mortal)),
        cast("Admin", log),
        SystemClock(),
        alarm=alarm,
    )
    return Ingest(outside, region="", owner="test", detection=Detection(full_bytes=FULL_BYTES))


def raw(topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None]]) -> RawBatch:
    count = len(records)
    # Holes in the offsets, as compaction and transactions leave them.
    offsets = np.arange(count, dtype=np.int64) * 2
    return RawBatch(
        topic,
        partition,
        offsets,
        np.full(count, ACCEPTED, dtype=np.int64) + np.arange(count),
        [key for key, _ in records],
        [value for _, value in records],
    )


def a_log(name: str) -> Log:
    """Two partitions: steady devices that jump at the end, poison, duplicates and conflicts in between."""
    dice = random.Random(3)  # noqa: S311  # noise, not a secret
    partitions = []
    for partition in range(2):
        device = f"{name}-{partition}"
        records: list[tuple[bytes | None, bytes | None]] = []
        for step in range(READINGS):
            value = dice.gauss(20.0, 1.0) + (50.0 if step > READINGS - 10 else 0.0)
            reading = Reading(device_id=device, ts=START + timedelta(seconds=step), metrics={"m": value})
            records.append((device.encode(), encode(reading)))
            if step % 110 == 50:
                records.append((device.encode(), encode(reading)))
                records.append((device.encode(), encode(reading.model_copy(update={"metrics": {"m": -1.0}}))))
                records.append((device.encode(), b"rubbish"))
                records.append((b"somebody else", encode(reading)))
        partitions.append(raw(name, partition, records))
    return Log(partitions, name)


def cut(log: Log, positions: Mapping[tuple[str, int], int], sizes: "random.Random") -> Iterator[list[RawBatch]]:
    """Cut what is left of the log into batches of any size, partitions in turns."""
    left = {name: log.partitions[name[1]] for name in positions}
    left = {name: batch.since(int(np.searchsorted(batch.offsets, positions[name]))) for name, batch in left.items()}
    while any(len(batch) for batch in left.values()):
        taken = []
        for name, batch in left.items():
            size = sizes.randint(0, 200)
            head = RawBatch(
                batch.topic,
                batch.partition,
                batch.offsets[:size],
                batch.accepted[:size],
                batch.keys[:size],
                batch.values[:size],
            )
            if len(head):
                taken.append(head)
            left[name] = batch.since(size)
        yield taken


def live(log: Log, store: Store, mortal: Mortal, seed: int) -> None:
    """Take the whole log, with a snapshot after every second batch; die when it is time."""
    ingest = agent(log, store, mortal)
    sizes = random.Random(seed)  # noqa: S311  # batch sizes, not a secret
    for number, batches in enumerate(cut(log, ingest.take_over(log.names()), sizes)):
        ingest.store(ingest.prepare(merge(batches)))
        if number % 2:
            ingest.snapshot()
    ingest.snapshot()


def outcome(database: DatabaseSettings, log: Log) -> dict[str, Any]:
    """Everything that can be seen from outside, with the log's own name taken out."""
    with connect(database, autocommit=True) as connection:
        like = f"{log.topic}-%"
        columns = (
            "select partition, next_offset, snapshot_offset, stored, duplicates, conflicts, poison from sink_offsets"
        )
        rows = connection.execute(
            "select right(device_id, 1), metric, ts, value, accepted from readings where device_id like %s"
            " order by 1, 2, 3",
            (like,),
        ).fetchall()
        marks = connection.execute(f"{columns} where topic = %s order by partition".encode(), (log.topic,)).fetchall()
        blocks = [
            snapshots.load(connection, PartitionKey(log.cluster, log.topic, log.topic_id, number), DETECTOR)
            for number in range(len(log.partitions))
        ]
        devices = connection.execute(
            "select right(device_id, 1), first_seen from devices where device_id like %s order by 1", (like,)
        ).fetchall()
    return {"rows": rows, "marks": marks, "state": [seen(kept) for kept in blocks], "devices": devices}


def seen(blocks: dict[int, bytes]) -> dict[str, bytes]:
    """Read what the detectors know of each device of a partition."""
    table = SeriesTable.restore(blocks, FULL_BYTES)
    known = {}
    for index in range(len(table)):
        row = table.rows[index]
        full = table.full[int(row["full"])].tobytes() if row["full"] >= 0 else b""
        known[table.name(index)[0][-1]] = row.tobytes() + full
    return known


def test_a_death_between_any_two_steps_changes_nothing(database: DatabaseSettings) -> None:
    store = Store(database)
    clean, mortal = a_log(f"log{uuid.uuid4().hex[:8]}"), Mortal()
    live(clean, store, mortal, seed=0)
    expected = outcome(database, clean)
    requests, letters = len(set(clean.ids(ANALYSIS_REQUESTS.name))), len(set(clean.ids(DEAD_LETTERS.name)))
    assert requests == 2
    assert letters == len(clean.ids(DEAD_LETTERS.name)) == 2 * 3 * 3  # two poison, one conflict, thrice a partition
    assert len(expected["rows"]) == 2 * READINGS
    moments = mortal.calls
    assert moments > 30
    for dies_at in range(moments):
        for after in (False, True):
            log = a_log(f"log{uuid.uuid4().hex[:8]}")
            with pytest.raises(DiedError):
                live(log, store, Mortal(dies_at, after), seed=0)
            live(log, store, Mortal(), seed=dies_at + 1)  # another worker, other batches
            where = f"died {'after' if after else 'before'} call {dies_at}"
            assert outcome(database, log) == expected, where
            assert len(set(log.ids(ANALYSIS_REQUESTS.name))) == requests, where
            assert len(set(log.ids(DEAD_LETTERS.name))) == letters, where
    store.close()


def test_a_value_out_of_the_range_of_its_class_is_asked_about(database: DatabaseSettings) -> None:
    name, store = f"log{uuid.uuid4().hex[:8]}", Store(database)
    with connect(database, autocommit=True) as connection:
        connection.execute('insert into device_classes values (%s, \'{"m": {"max": 30}}\')', (name,))
    readings = [
        Reading(device_id=name, ts=START + timedelta(seconds=at), metrics={"m": value}, tags={"class": name})
        for at, value in enumerate([20.0, 31.0, 20.0, 31.0])
    ]
    log = Log([raw(name, 0, [(name.encode(), encode(reading)) for reading in readings])], name)
    ingest = agent(log, store, Mortal())
    ingest.take_over(log.names())
    # Who is new has its limits from the next snapshot on.
    for first, end in ((0, 3), (3, 4)):
        batch = log.partitions[0].since(first)
        part = replace(batch, **{field: getattr(batch, field)[: end - first] for field in COLUMNS})
        ingest.store(ingest.prepare([part]))
        ingest.snapshot()
    (request,) = [decode(sent.value, AnalysisRequest) for sent in log.produced]
    assert (request.kind, request.value, request.device_class) == ("range", 31.0, name)
    store.close()


def test_a_worker_that_was_replaced_writes_nothing(database: DatabaseSettings) -> None:
    log, old, new = a_log(f"log{uuid.uuid4().hex[:8]}"), Store(database), Store(database)
    zombie = agent(log, old, Mortal())
    zombie.take_over(log.names())
    zombie.store(zombie.prepare([log.partitions[0].since(300)]))
    before = outcome(database, log)
    agent(log, new, Mortal()).take_over(log.names())
    with pytest.raises(FencedError):
        zombie.store(zombie.prepare([log.partitions[1]]))
    with pytest.raises(FencedError):
        zombie.snapshot()
    assert outcome(database, log) == before
    old.close()
    new.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"topic_id": "another"}, "deleted and made anew"),
        ({"start": 10_000}, "expired before they were read"),
    ],
)
def test_a_log_that_is_not_the_one_we_know_is_refused(
    database: DatabaseSettings, change: dict[str, object], said: str
) -> None:
    log, store = a_log(f"log{uuid.uuid4().hex[:8]}"), Store(database)
    live(log, store, Mortal(), seed=0)
    for name, value in change.items():
        setattr(log, name, value)
    with pytest.raises(LogChangedError, match=said):
        agent(log, store, Mortal()).take_over(log.names())
    store.close()


def test_a_log_that_was_cut_is_refused(database: DatabaseSettings) -> None:
    log, store = a_log(f"log{uuid.uuid4().hex[:8]}"), Store(database)
    live(log, store, Mortal(), seed=0)
    log.partitions[0] = raw(log.topic, 0, [(b"d", b"x")])
    with pytest.raises(LogChangedError, match="was cut or made anew"):
        agent(log, store, Mortal()).take_over(log.names())
    store.close()


def test_most_of_many_devices_being_wrong_stops_the_worker_before_it_passes_them(database: DatabaseSettings) -> None:
    name = f"log{uuid.uuid4().hex[:8]}"
    log, store = (
        Log([raw(name, 0, [(f"d{number}".encode(), b"rubbish") for number in range(12)])], name),
        Store(database),
    )
    told: list[tuple[str, Mapping[str, object]]] = []
    ingest = agent(log, store, Mortal(), lambda *said: told.append(said))
    ingest.take_over(log.names())
    with pytest.raises(PoisonLimitError):
        ingest.store(ingest.prepare(log.partitions))
    assert log.produced == []
    assert [(action, detail["refused"], detail["offset"]) for action, detail in told] == [("poison limit", 12, 0)]
    assert outcome(database, log)["marks"] == [(0, 0, 0, 0, 0, 0, 0)]
    store.close()


def test_one_noisy_device_stops_nobody(database: DatabaseSettings) -> None:
    name = f"log{uuid.uuid4().hex[:8]}"
    log, store = Log([raw(name, 0, [(b"noisy", b"rubbish")] * 500)], name), Store(database)
    ingest = agent(log, store, Mortal())
    ingest.take_over(log.names())
    ingest.store(ingest.prepare(log.partitions))
    assert len(log.ids(DEAD_LETTERS.name)) == 500
    store.close()
