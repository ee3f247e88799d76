"""Other regions' readings: stored as they were accepted there, never asked about, and known to the detectors here."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import REGISTRY

from connectors.clock import SystemClock
from connectors.kafka.admin import Admin, Bounds, TopicState
from connectors.kafka.producer import Outgoing, Producer
from connectors.timescale.connection import connect
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from schemas.codec import decode, encode
from schemas.models import AnalysisRequest, Reading
from schemas.origin import headers, new_secret, origin_of, place
from schemas.topics import ANALYSIS_REQUESTS, DEAD_LETTERS, READINGS
from streams.agents.ingest import Detection, Ingest, Outside
from streams.app.ingest import earlier_of
from streams.app.mirror import known_of
from streams.columns.batch import RawBatch
from streams.settings import Settings

pytestmark = pytest.mark.database

THEIRS = READINGS.of("us").name
ACCEPTED = datetime(2026, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KNOWN = 350  # readings after which detectors know a series


@dataclass
class Kafka:
    """Topics that end where they begin, and what was produced."""

    produced: list[Outgoing] = field(default_factory=list)

    def cluster_id(self) -> str:
        return "c"

    def topics(self, names: Iterable[str]) -> dict[str, TopicState]:
        return {name: TopicState(name, "t", 1) for name in names}

    def bounds(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Bounds]:
        return {name: Bounds(0, 1_000_000) for name in partitions}

    def publish(self, records: Iterable[Outgoing]) -> None:
        self.produced += records

    def requests(self) -> list[AnalysisRequest]:
        return [decode(sent.value, AnalysisRequest) for sent in self.produced if sent.topic == ANALYSIS_REQUESTS.name]


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def store(database: DatabaseSettings) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


def agent(
    kafka: Kafka, store: Store, *, mirrors: bool = False, alone: bool = False, shared: str | None = None
) -> Ingest:
    outside = Outside(
        [store],
        cast("Producer", kafka),
        cast("Admin", kafka),
        SystemClock(),
        known_of(Settings(regions_secret=shared)),
        earlier=None if mirrors or alone else earlier_of(store),
    )
    ingest = Ingest(outside, region="eu", owner="test", detection=Detection(on=not mirrors))
    ingest.take_over([(THEIRS if mirrors else READINGS.name, 0)])
    return ingest


def batch(topic: str, said: Sequence[tuple[str, int, float]], first: int = 0) -> RawBatch:
    """Make records of (device, seconds, value), accepted at that second."""
    seconds = [at for _, at, _ in said]
    return RawBatch(
        topic,
        0,
        np.arange(first, first + len(said), dtype=np.int64),
        np.array([int((ACCEPTED + at * SECOND).timestamp() * 1_000_000) for at in seconds], dtype=np.int64),
        [device.encode() for device, *_ in said],
        [
            encode(Reading(device_id=device, ts=ACCEPTED + at * SECOND, metrics={"m": value}))
            for device, at, value in said
        ],
    )


def calm(device: str, first: int, count: int) -> list[tuple[str, int, float]]:
    values = np.random.default_rng(5).normal(20.0, 0.5, first + count)
    return [(device, at, float(values[at])) for at in range(first, first + count)]


def refused() -> float:
    return REGISTRY.get_sample_value("tidegate_poison_total", {"stage": "mirror", "reason": "framing"}) or 0.0


def take(ingest: Ingest, records: RawBatch) -> None:
    ingest.store(ingest.prepare([records]))


@pytest.fixture
def device() -> str:
    return f"d{uuid.uuid4().hex[:8]}"


def test_what_others_accepted_is_stored_as_it_was_and_not_asked_about(
    kafka: Kafka, store: Store, database: DatabaseSettings, device: str
) -> None:
    jump = [(device, KNOWN + at, 90.0) for at in range(20)]
    take(agent(kafka, store, mirrors=True), batch(THEIRS, [*calm(device, 0, KNOWN), *jump]))
    assert kafka.produced == []
    with connect(database, autocommit=True) as connection:
        rows = connection.execute(
            "select count(*), max(accepted) from readings where device_id = %s", (device,)
        ).fetchall()
        seen = connection.execute("select last_seen from devices where device_id = %s", (device,)).fetchall()
    assert rows == [(KNOWN + 20, ACCEPTED + (KNOWN + 19) * SECOND)]
    assert len(seen) == 1


def test_what_is_wrong_there_has_its_letters_there_and_stops_nobody_here(
    kafka: Kafka, store: Store, database: DatabaseSettings
) -> None:
    count = 2000
    records = batch(THEIRS, calm("d", 0, count))
    rubbish = RawBatch(
        records.topic,
        0,
        records.offsets,
        records.accepted,
        [f"d{number}".encode() for number in range(count)],
        [b"rubbish"] * count,
    )
    before = refused()
    take(agent(kafka, store, mirrors=True), rubbish)
    assert kafka.produced == []
    assert refused() == before + count
    with connect(database, autocommit=True) as connection:
        marks = connection.execute(
            "select next_offset, poison from sink_offsets where topic = %s", (THEIRS,)
        ).fetchall()
    assert marks == [(count, count)]


def test_values_that_contradict_those_of_another_region_are_kept_in_dead_letters(
    kafka: Kafka, store: Store, device: str
) -> None:
    take(agent(kafka, store, alone=True), batch(READINGS.name, [(device, 0, 1.0)]))
    take(agent(kafka, store, mirrors=True), batch(THEIRS, [(device, 0, 2.0)]))
    assert [sent.topic for sent in kafka.produced] == [DEAD_LETTERS.name]


@pytest.mark.parametrize("known", [True, False], ids=["with its rows", "without"])
def test_who_comes_from_another_region_is_watched_from_the_first_reading_on(
    kafka: Kafka, store: Store, device: str, *, known: bool
) -> None:
    take(agent(kafka, store, mirrors=True), batch(THEIRS, calm(device, 0, KNOWN)))
    assert kafka.produced == []
    moved = [*calm(device, KNOWN, 5), *((device, KNOWN + 5 + at, 90.0) for at in range(5))]
    ingest = agent(kafka, store, alone=not known)
    take(ingest, batch(READINGS.name, moved))
    asked = kafka.requests()
    assert [(one.device_id, one.topic, one.region) for one in asked] == ([(device, "readings", "eu")] if known else [])
    for one in asked:  # it speaks of records of this region's log
        assert 0 <= one.first_offset <= one.last_offset < len(moved)


@pytest.mark.parametrize("moved", [True, False], ids=["speaks elsewhere", "is silent everywhere"])
def test_who_has_moved_is_not_missed(kafka: Kafka, store: Store, device: str, *, moved: bool) -> None:
    other = f"{device}-other"
    both: list[Any] = [one for pair in zip(calm(device, 0, KNOWN), calm(other, 0, KNOWN), strict=True) for one in pair]
    ingest = agent(kafka, store)
    take(ingest, batch(READINGS.name, both))
    if moved:
        take(agent(kafka, store, mirrors=True), batch(THEIRS, calm(device, KNOWN, 5)))
    left = calm(other, KNOWN, 200)
    # It comes back in the end, which says nothing about where it was.
    take(ingest, batch(READINGS.name, [*left, (device, KNOWN + 200, 20.0)], first=len(both)))
    missing = [one.device_id for one in kafka.requests() if one.kind == "missing"]
    assert missing == ([] if moved else [device])


@pytest.mark.parametrize("shared", ["a secret of all the regions", None], ids=["shared", "not shared"])
def test_what_another_region_replays_counts_as_accepted_when_it_was(
    kafka: Kafka, store: Store, database: DatabaseSettings, device: str, *, shared: str | None
) -> None:
    replay, accepted_ms = str(uuid.uuid4()), int(ACCEPTED.timestamp() * 1000)
    copied = batch(THEIRS, [(device, 3600, 1.0)])
    secret = new_secret(shared or "", replay)
    where = place(b"readings", 0, 7, accepted_ms)
    origin = origin_of(headers(replay.encode(), secret, where, copied.keys[0], copied.values[0]))
    assert origin is not None
    take(agent(kafka, store, mirrors=True, shared=shared), replace(copied, origins={0: origin}))
    with connect(database, autocommit=True) as connection:
        rows = connection.execute("select accepted from readings where device_id = %s", (device,)).fetchall()
    assert rows == [(ACCEPTED if shared else ACCEPTED + 3600 * SECOND,)]
