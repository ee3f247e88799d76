"""A request becomes one insight, whoever answers, and however often the worker dies on the way."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from pydantic import SecretStr

from connectors.clock import SystemClock
from connectors.kafka.producer import Outgoing
from connectors.kafka.producer import Producer as KafkaProducer
from connectors.llm.pool import Pool
from connectors.llm.settings import Endpoint
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from schemas.codec import decode, encode
from schemas.fields import Direction, Severity, Source, deterministic_id
from schemas.models import AnalysisRequest, DeadLetter, Insight, Sample
from schemas.topics import DEAD_LETTERS, INSIGHTS
from streams.agents.analyze import Analyst, Asks, Outside
from streams.agents.packing import Packer
from tests.fakes.records import FakeRecord
from tests.fakes.stand_in import StandIn

pytestmark = pytest.mark.database

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Producer:
    """Keeps what was published; dies before it, if it has to."""

    published: list[Outgoing] = field(default_factory=list)
    dies: bool = False

    async def publish_soon(self, records: Iterable[Outgoing]) -> None:
        if self.dies:
            raise ConnectionAbortedError
        self.published.extend(records)

    def publish(self, records: Iterable[Outgoing]) -> None:
        self.published.extend(records)

    def insights(self) -> list[Insight]:
        return [decode(record.value, Insight) for record in self.published if record.topic == INSIGHTS.name]


def request(**change: object) -> AnalysisRequest:
    window = [Sample(ts=START + timedelta(minutes=minute), value=20.0 + minute) for minute in range(5)]
    fields = {
        "id": deterministic_id("request", "pump-1"),
        "device_id": "pump-1",
        "metric": "temperature",
        "kind": "deviation",
        "direction": Direction.UP,
        "severity": Severity.WARNING,
        "score": 0.8,
        "value": 24.0,
        "baseline": 20.0,
        "spread": 1.0,
        "window_start": window[0].ts,
        "window_end": window[-1].ts,
        "accepted": START,
        "samples": tuple(window),
        "topic": "readings",
        "partition": 0,
        "first_offset": 0,
        "last_offset": 4,
    }
    return AnalysisRequest.model_validate({**fields, **change})


def record(value: bytes, key: bytes = b"pump-1") -> FakeRecord:
    return FakeRecord(7, 1_767_225_600_000, key, value, of_topic="analysis-requests", of_partition=0)


def analyst(database: DatabaseSettings, producer: Producer, model: Asks | None = None) -> tuple[Analyst, Store]:
    store = Store(database)
    return Analyst(Outside(store, cast("KafkaProducer", producer), SystemClock(), model), region=""), store


@asynccontextmanager
async def model_at(
    stand_in: StandIn, *, calls: int = 8, windows: int = 8, timeout_s: float = 5.0
) -> AsyncIterator[Packer]:
    endpoint = Endpoint(
        name="stand-in", base_url=stand_in.url, api_key=SecretStr("k"), model="test-1", max_concurrent=calls
    )
    async with Pool([endpoint], SystemClock(), timeout_s=timeout_s) as pool:
        yield Packer(pool, windows=windows)


async def test_without_a_model_rules_answer_and_say_so(database: DatabaseSettings) -> None:
    producer = Producer()
    worker, store = analyst(database, producer)
    await worker.handle(record(encode(request())))
    (insight,) = producer.insights()
    assert insight.source is Source.RULES
    assert insight.model is None
    assert "pump-1" in insight.summary
    assert store.insights([insight.id]) == {insight.id: insight}
    store.close()


async def test_a_model_answers_and_what_it_cost_is_told(database: DatabaseSettings, stand_in: StandIn) -> None:
    producer = Producer()
    async with model_at(stand_in) as model:
        worker, store = analyst(database, producer, model)
        await worker.handle(record(encode(request())))
    (insight,) = producer.insights()
    assert insight.source is Source.MODEL
    assert insight.model == "test-1-stand-in"
    assert insight.prompt_hash
    assert insight.prompt_tokens > 0
    assert insight.completion_tokens > 0
    assert len(stand_in.requests()) == 1
    store.close()


@pytest.mark.parametrize("behaviour", ["wrong-schema", "refusal", "401"])
async def test_a_model_that_does_not_help_is_replaced_by_rules(
    database: DatabaseSettings, stand_in: StandIn, behaviour: str
) -> None:
    stand_in.queue(*[behaviour] * 10)
    producer = Producer()
    async with model_at(stand_in) as model:
        worker, store = analyst(database, producer, model)
        await worker.handle(record(encode(request())))
    assert [insight.source for insight in producer.insights()] == [Source.RULES]
    store.close()


async def test_an_answer_that_contradicts_the_numbers_is_refused(database: DatabaseSettings, stand_in: StandIn) -> None:
    stand_in.content(
        '{"answers": [{"summary": "It fell to 999999.", "probable_causes": [], "recommended_actions": [],'
        ' "severity": "critical", "confidence": 1.0, "n": 1}]}'
    )
    producer = Producer()
    async with model_at(stand_in) as model:
        worker, store = analyst(database, producer, model)
        await worker.handle(record(encode(request())))
    assert [insight.source for insight in producer.insights()] == [Source.RULES]
    store.close()


async def test_a_crash_repeats_neither_the_insight_nor_the_call(database: DatabaseSettings, stand_in: StandIn) -> None:
    dying, healthy = Producer(dies=True), Producer()
    async with model_at(stand_in) as model:
        first, first_store = analyst(database, dying, model)
        with pytest.raises(ConnectionAbortedError):
            await first.handle(record(encode(request())))
        second, second_store = analyst(database, healthy, model)
        await second.handle(record(encode(request())))
        await second.handle(record(encode(request())))
    once, again = healthy.insights()
    assert once == again == second_store.insights([once.id])[once.id]
    assert len(stand_in.requests()) == 1
    first_store.close()
    second_store.close()


async def test_a_request_that_cannot_be_read_goes_to_dead_letters(database: DatabaseSettings) -> None:
    producer = Producer()
    worker, store = analyst(database, producer)
    await worker.handle(record(b"rubbish"))
    (letter,) = [decode(sent.value, DeadLetter) for sent in producer.published if sent.topic == DEAD_LETTERS.name]
    assert (letter.stage, letter.value, letter.partition, letter.offset) == ("analyze", b"rubbish", 0, 7)
    assert producer.insights() == []
    store.close()


@pytest.mark.parametrize("bad", [{"id": "mine"}, {"kind": "a\x00b"}, {"topic": "a\x00b"}])
async def test_a_request_that_no_table_can_hold_goes_to_dead_letters(
    database: DatabaseSettings, bad: dict[str, str]
) -> None:
    producer = Producer()
    worker, store = analyst(database, producer)
    await worker.handle(record(encode(request().model_copy(update=bad))))
    (letter,) = [decode(sent.value, DeadLetter) for sent in producer.published]
    assert (letter.stage, letter.reason) == ("analyze", "invalid")
    store.close()


@pytest.mark.parametrize("behaviour", ["ok", "partial", "twice", "spoilt", "truncated", "truncated-json"])
async def test_many_windows_share_a_call_whatever_is_wrong_with_its_answer(
    database: DatabaseSettings, stand_in: StandIn, behaviour: str
) -> None:
    # The first call is about one window; it is slow, and the others gather.
    stand_in.queue("slow:0.5", behaviour)
    producer = Producer()
    devices = [f"pump-{number}" for number in range(9)]
    async with model_at(stand_in, calls=1) as model:
        worker, store = analyst(database, producer, model)
        requests = [request(id=deterministic_id("request", device), device_id=device) for device in devices]
        await asyncio.gather(*(worker.handle(record(encode(one))) for one in requests))
    insights = producer.insights()
    assert sorted(insight.device_id for insight in insights) == devices
    assert {insight.source for insight in insights} == {Source.MODEL}
    assert all(insight.device_id in devices for insight in insights)
    calls = len(stand_in.requests())
    assert calls == {"ok": 2, "truncated": 4, "truncated-json": 4}.get(behaviour, 3)
    store.close()
