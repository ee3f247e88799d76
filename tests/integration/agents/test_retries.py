"""A request that no model has time for waits in the table and comes again, wherever somebody dies on the way."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY

from connectors.embedded.server import Server
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Outgoing
from connectors.kafka.producer import Producer as KafkaProducer
from connectors.kafka.settings import KafkaSettings
from connectors.timescale.connection import connect
from connectors.timescale.devices import DeviceSeen
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from schemas.codec import decode, encode
from schemas.fields import Source, deterministic_id
from schemas.models import AnalysisRequest, Insight
from schemas.registry import ANALYSIS_REQUEST
from schemas.topics import INSIGHTS, Topic
from streams.agents import filing
from streams.agents.analyze import Analyst, Asks, Outside
from streams.agents.records import Record
from streams.agents.retries import Kind, Retries
from streams.keyed import KeyedWork
from tests.fakes.hand_clock import START, HandClock
from tests.fakes.stand_in import StandIn
from tests.integration.agents.test_analyze import Producer, model_at, record, request

pytestmark = [pytest.mark.database, pytest.mark.kafka]

Fetch = Callable[..., list[tuple[object, ...]]]

HOUR = timedelta(hours=1)
TASKS = "select state, attempts, insight is not null from tasks"


def of_table(kind: str, question: str | None = None) -> AnalysisRequest:
    return AnalysisRequest.of_table(
        request_id=deterministic_id("request", kind),
        region="",
        device_id="pump-1",
        metric="t",
        kind=kind,
        window=(START - HOUR, START),
        question=question,
    )


REQUESTS = {
    Kind.ALARM: request(),
    Kind.SUMMARY: of_table("hourly-summary"),
    Kind.QUESTION: of_table("question", "Is it hot?"),
}


class Dying(KafkaProducer):
    """Dies when Kafka has confirmed what it published, as often as it is told."""

    dies = 0

    def publish(self, records: Iterable[Outgoing]) -> None:
        super().publish(records)
        if self.dies:
            self.dies -= 1
            raise ConnectionAbortedError


@dataclass
class Lane:
    """The slow lane in a test's hands: real servers, a clock that stands, and workers that come and go."""

    kafka: KafkaSettings
    topic: str
    database: DatabaseSettings
    clock: HandClock = field(default_factory=HandClock)
    told: Producer = field(default_factory=Producer)
    stores: list[Store] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.producer = Dying(self.kafka)

    def store(self) -> Store:
        self.stores.append(Store(self.database))
        return self.stores[-1]

    def worker(self, model: Asks | None, *, dies: bool = False) -> Analyst:
        told = Producer(dies=True) if dies else self.told
        return Analyst(Outside(self.store(), cast("KafkaProducer", told), self.clock, model), region="")

    async def look(self, after_s: float = 0.0) -> bool:
        """Let a worker of its own look for what is due, some time from now."""
        self.clock.move(after_s)
        return await Retries(self.store(), self.producer, self.clock, topic=self.topic).look()

    def records(self) -> list[Record]:
        """Read all that was ever published again."""
        bound = Admin(self.kafka).bounds([(self.topic, 0)])[self.topic, 0]
        consumer = Consumer({**self.kafka.client(), "group.id": "none", "enable.auto.commit": False})
        consumer.assign([TopicPartition(self.topic, 0, bound.start)])
        found: list[Record] = []
        while len(found) < bound.end - bound.start:
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            found.append(cast("Record", message))
        consumer.close()
        return found

    def insights(self) -> list[Insight]:
        return [decode(sent.value, Insight) for sent in self.told.published if sent.topic == INSIGHTS.name]

    def close(self) -> None:
        self.producer.close()
        for store in self.stores:
            store.close()


@pytest.fixture
def lane(kafka_server: Server, topic_name: str, database: DatabaseSettings) -> Iterator[Lane]:
    kafka = KafkaSettings(bootstrap_servers=kafka_server.address, delivery_timeout_s=20)
    Admin(kafka).apply([Topic(topic_name, ANALYSIS_REQUEST, timedelta(days=1), mirrored=False, partitions=1)])
    made = Lane(kafka, topic_name, database)
    made.store().see_devices([DeviceSeen("pump-1", START, START, {"t": "Cel"}, {"class": "pump"})])
    read(database, 20.0)
    yield made
    made.close()


def read(database: DatabaseSettings, value: float) -> None:
    """Store a reading of each minute of the hour, or set them all to another value."""
    with connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into readings select ts, 'pump-1', 't', %(value)s, %(now)s"
            " from generate_series(%(now)s - interval '1 h', %(now)s - interval '1 s', interval '1 min') ts"
            " on conflict (device_id, metric, ts) do update set value = excluded.value",
            {"now": START, "value": value},
        )


def first(kind: Kind) -> Record:
    return cast("Record", record(encode(REQUESTS[kind])))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("behaviour", ["503", "429:0", "garbage"])
async def test_it_is_tried_again_when_it_is_due(
    lane: Lane, stand_in: StandIn, fetch: Fetch, kind: Kind, behaviour: str
) -> None:
    stand_in.queue(behaviour, behaviour)
    async with model_at(stand_in) as model:
        worker = lane.worker(model)
        await worker.handle(first(kind))
        assert fetch(TASKS) == [("retrying", 1, False)]
        assert not await lane.look(1.4)
        assert lane.records() == []
        assert await lane.look(0.6)
        assert fetch(TASKS) == [("queued", 1, False)]

        (again,) = lane.records()
        assert again.key() == b"pump-1"
        assert decode(again.value() or b"", AnalysisRequest).id == REQUESTS[kind].id
        await worker.handle(again)
        assert fetch(TASKS) == [("retrying", 2, False)]
        assert not await lane.look(2.9)
        assert lane.insights() == []
        assert await lane.look(1.1)

        await worker.handle(lane.records()[1])
    (insight,) = lane.insights()
    assert (insight.source, insight.request_id) == (Source.MODEL, REQUESTS[kind].id)
    assert insight.latency_s >= 6.0  # since the first attempt
    assert fetch(TASKS) == [("succeeded", 3, True)]
    assert len(stand_in.requests()) == 3
    assert not await lane.look(60)


async def test_an_endpoint_is_left_alone_for_as_long_as_it_asks(lane: Lane, stand_in: StandIn) -> None:
    stand_in.queue("503:20")
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(Kind.ALARM))
    assert not await lane.look(19.9)
    assert await lane.look(5.1)


@pytest.mark.parametrize(("kind", "patience_s"), [(Kind.ALARM, 60), (Kind.SUMMARY, 60), (Kind.QUESTION, 600)])
async def test_when_it_takes_too_long_rules_answer(
    lane: Lane, stand_in: StandIn, fetch: Fetch, kind: Kind, patience_s: int
) -> None:
    stand_in.default("429:0")
    async with model_at(stand_in) as model:
        worker = lane.worker(model)
        await worker.handle(first(kind))
        while not lane.insights():
            (due,) = fetch("select extract(epoch from due_at - %s)::float8 from tasks", lane.clock.now())
            assert await lane.look(float(str(due[0])))
            await worker.handle(lane.records()[-1])
    (insight,) = lane.insights()
    assert insight.source is Source.RULES
    (task,) = fetch(TASKS)
    assert task == ("succeeded", len(stand_in.requests()), True)
    assert patience_s / 3 < (lane.clock.now() - START).total_seconds() <= patience_s
    assert not await lane.look(600)


@pytest.mark.parametrize("behaviour", ["401", "refusal"])
async def test_what_would_fail_again_is_not_tried_again(
    lane: Lane, stand_in: StandIn, fetch: Fetch, behaviour: str
) -> None:
    stand_in.default(behaviour)
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(Kind.ALARM))
    assert [insight.source for insight in lane.insights()] == [Source.RULES]
    assert fetch(TASKS) == []


async def test_a_window_of_the_table_is_read_again(lane: Lane, stand_in: StandIn) -> None:
    stand_in.queue("503")
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(Kind.SUMMARY))
        read(lane.database, 30.0)
        await lane.look(2)
        await lane.worker(model).handle(lane.records()[0])
    prompts = [asked["body"]["messages"][-1]["content"] for asked in stand_in.requests()]
    assert ['"value":20.0' in prompts[0], '"value":30.0' in prompts[1]] == [True, True]


async def test_without_a_model_what_was_postponed_is_answered_by_rules(
    lane: Lane, stand_in: StandIn, fetch: Fetch
) -> None:
    """Whoever takes an endpoint out of the settings leaves nothing behind."""
    stand_in.queue("503")
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(Kind.ALARM))
    await lane.look(2)
    await lane.worker(None).handle(lane.records()[0])
    assert [insight.source for insight in lane.insights()] == [Source.RULES]
    assert fetch(TASKS) == [("succeeded", 2, True)]


# -- what has ended meanwhile ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["cancelled", "failed", "succeeded"])
async def test_what_has_ended_while_it_waited_is_not_answered(
    lane: Lane, stand_in: StandIn, fetch: Fetch, state: str
) -> None:
    stand_in.queue("503")
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(Kind.QUESTION))
        await lane.look(2)
        fetch("update tasks set state = %s returning 1", state)
        await lane.worker(model).handle(lane.records()[0])
    assert lane.told.published == []
    assert fetch(TASKS) == [(state, 1, False)]
    assert len(stand_in.requests()) == 1


async def test_what_has_ended_while_it_was_asked_about_is_not_postponed(
    lane: Lane, stand_in: StandIn, fetch: Fetch
) -> None:
    stand_in.default("hang")
    async with model_at(stand_in, timeout_s=1.0) as model:
        handling = asyncio.ensure_future(lane.worker(model).handle(first(Kind.QUESTION)))
        assert await asyncio.to_thread(stand_in.started)
        fetch("update tasks set state = 'cancelled' returning 1")
        await handling  # until the call is given up
    assert lane.told.published == []
    assert fetch(TASKS) == [("cancelled", 1, False)]
    assert not await lane.look(60)


# -- wherever somebody dies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
async def test_a_worker_that_dies_before_the_record_is_done_leaves_it_to_the_next_one(
    lane: Lane, stand_in: StandIn, fetch: Fetch, kind: Kind
) -> None:
    """It is postponed, and comes again at once: no offset was committed."""
    stand_in.queue("503")
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(kind))
        await lane.worker(model).handle(first(kind))
    assert [insight.source for insight in lane.insights()] == [Source.MODEL]
    assert fetch(TASKS) == [("succeeded", 2, True)]
    assert not await lane.look(60)
    assert lane.records() == []


@pytest.mark.parametrize("kind", Kind)
async def test_a_worker_that_dies_before_the_mark_publishes_twice_and_asks_once(
    lane: Lane, stand_in: StandIn, fetch: Fetch, kind: Kind
) -> None:
    stand_in.queue("503")
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(kind))
        lane.producer.dies = 1
        with pytest.raises(ConnectionAbortedError):
            await lane.look(2)
        assert fetch(TASKS) == [("retrying", 1, False)]
        assert await lane.look()
        published = lane.records()
        assert [one.value() for one in published] == [published[0].value()] * 2
        for one in published:
            await lane.worker(model).handle(one)
    once, again = lane.insights()
    assert (once.source, once) == (Source.MODEL, again)
    assert fetch(TASKS) == [("succeeded", 2, True)]
    assert len(stand_in.requests()) == 2


@pytest.mark.parametrize("kind", Kind)
async def test_a_worker_that_dies_with_the_answer_leaves_no_task_open(
    lane: Lane, stand_in: StandIn, fetch: Fetch, kind: Kind
) -> None:
    stand_in.queue("503")
    async with model_at(stand_in) as model:
        await lane.worker(model).handle(first(kind))
        await lane.look(2)
        (again,) = lane.records()
        with pytest.raises(ConnectionAbortedError):
            await lane.worker(model, dies=True).handle(again)
        assert fetch(TASKS) == [("running", 2, False)]
        await lane.worker(model).handle(again)
    assert len(lane.insights()) == 1
    assert fetch(TASKS) == [("succeeded", 2, True)]
    assert len(stand_in.requests()) == 2


async def test_of_two_who_look_one_publishes(lane: Lane, stand_in: StandIn) -> None:
    stand_in.default("429:0")
    async with model_at(stand_in) as model:
        worker = lane.worker(model)
        for number in range(20):
            await worker.handle(cast("Record", record(encode(request(id=deterministic_id("request", str(number)))))))
    lane.clock.move(2)
    await asyncio.gather(*(lane.look() for _ in range(4)))
    ids = [decode(one.value() or b"", AnalysisRequest).id for one in lane.records()]
    assert len(ids) == len(set(ids)) == 20


# -- nobody is held up -------------------------------------------------------------------------------------------------


async def test_neither_the_device_nor_the_partition_waits(lane: Lane, stand_in: StandIn, fetch: Fetch) -> None:
    stand_in.queue("503")
    released: list[int] = []
    async with model_at(stand_in) as model:
        work: KeyedWork[int, Record] = KeyedWork(
            lane.worker(model).handle, lambda _, offset: released.append(offset), in_flight=8, waiting=8
        )
        for offset, kind in enumerate((Kind.QUESTION, Kind.ALARM)):
            assert await work.submit(0, offset, b"pump-1", first(kind))
        await work.settle(60)
    assert released[-1] == 2
    assert [(insight.kind, insight.source) for insight in lane.insights()] == [("deviation", Source.MODEL)]
    assert fetch("select state from tasks") == [("retrying",)]


async def test_what_never_had_to_wait_is_no_task_and_takes_two_turns_of_the_database(
    lane: Lane, stand_in: StandIn, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[object] = []
    async with model_at(stand_in) as model:
        worker = lane.worker(model)
        submit = worker._filing._thread.submit  # noqa: SLF001  # where all of it goes through

        def counted(work: Callable[..., object], *arguments: object) -> object:
            turns.append(work)
            return submit(work, *arguments)

        monkeypatch.setattr(worker._filing._thread, "submit", counted)  # noqa: SLF001  # the same
        await worker.handle(first(Kind.ALARM))
    assert len(lane.insights()) == 1
    assert fetch(TASKS) == []
    assert len(turns) == 2


async def test_when_very_many_wait_rules_answer_alarms_and_people_wait_all_the_same(
    lane: Lane, stand_in: StandIn, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "MOST_WAITING", 1)
    stand_in.default("429:0")
    async with model_at(stand_in) as model:
        worker = lane.worker(model)
        for kind in (Kind.SUMMARY, Kind.ALARM, Kind.QUESTION):
            await worker.handle(first(kind))
    assert [(insight.kind, insight.source) for insight in lane.insights()] == [("deviation", Source.RULES)]
    assert fetch("select state, count(*) from tasks group by 1") == [("retrying", 2)]


async def test_it_is_counted_what_is_postponed(lane: Lane, stand_in: StandIn) -> None:
    def counted() -> list[float]:
        return [REGISTRY.get_sample_value("tidegate_postponed_total", {"kind": kind}) or 0.0 for kind in Kind]

    stand_in.default("429:0")
    before = counted()
    async with model_at(stand_in) as model:
        worker = lane.worker(model)
        for kind in (Kind.ALARM, Kind.SUMMARY, Kind.QUESTION, Kind.QUESTION):
            await worker.handle(first(kind))
    assert [after - at for after, at in zip(counted(), before, strict=True)] == [1, 1, 2]
