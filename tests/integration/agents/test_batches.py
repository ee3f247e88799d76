"""Summaries go through batches at half the price, and come out of whatever becomes of those."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel, SecretStr

from connectors.kafka.producer import Outgoing
from connectors.kafka.producer import Producer as KafkaProducer
from connectors.llm.accounts import Accounts
from connectors.llm.batches import Question, Remote
from connectors.llm.budget import Budget, Budgets
from connectors.llm.door import Door
from connectors.llm.pool import Pool
from connectors.llm.settings import Endpoint
from connectors.timescale.connection import connect
from connectors.timescale.devices import DeviceSeen
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.treasury import Treasury
from schemas.codec import encode
from schemas.fields import Source, deterministic_id
from schemas.models import AnalysisRequest, Insight
from streams.agents import filing
from streams.agents.analyze import Analyst, Outside
from streams.agents.batches import SHOWS_WITHIN, Batches
from streams.agents.packing import Packer
from streams.agents.retries import Retries
from tests.fakes.hand_clock import START, HandClock
from tests.fakes.stand_in import StandIn
from tests.integration.agents.test_analyze import Producer, record, request

pytestmark = [pytest.mark.database, pytest.mark.within_a_day]

Fetch = Callable[..., list[tuple[Any, ...]]]

HOUR = timedelta(hours=1)
WINDOWS = 8
STATES = "select state, count(*) from tasks group by 1 order by 1"
ITEMS = "select state, count(*) from batch_items group by 1 order by 1"
BATCHES = "select state from batches order by created"
UNLIMITED = Budgets()
# All that is read of a budget.
GRANTED = "select granted from budgets where scope = %s"


class DiesAfterSubmit(Remote):
    """Dies when the endpoint has the batch, before anybody has written that down."""

    async def submit(self, key: str, questions: Sequence[Question], answer: type[BaseModel]) -> str:
        await super().submit(key, questions, answer)
        raise ConnectionAbortedError


class DiesBeforeSubmit(Remote):
    """Dies before the endpoint hears of the batch."""

    async def submit(self, key: str, questions: Sequence[Question], answer: type[BaseModel]) -> str:  # noqa: ARG002
        raise ConnectionAbortedError


class Topic:
    """Keeps what is published again."""

    def __init__(self) -> None:
        self.published: list[bytes] = []

    def publish(self, records: Iterable[Outgoing]) -> None:
        self.published += [one.value for one in records]


@dataclass
class Lane:
    """The slow lane in a test's hands, at an endpoint that takes batches; the clock stands."""

    database: DatabaseSettings
    pool: Pool
    door: Door
    clock: HandClock = field(default_factory=HandClock)
    told: Producer = field(default_factory=Producer)
    topic: Topic = field(default_factory=Topic)
    stores: list[Store] = field(default_factory=list)

    def store(self) -> Store:
        self.stores.append(Store(self.database))
        return self.stores[-1]

    def worker(self) -> Analyst:
        def takes_batches() -> bool:
            return any(member.endpoint.batch for member in self.pool.members.values())

        producer, model = cast("KafkaProducer", self.told), Packer(self.pool, windows=WINDOWS)
        return Analyst(Outside(self.store(), producer, self.clock, model, takes_batches=takes_batches), region="")

    def batches(self, connect: Callable[[Endpoint], Remote] = Remote) -> Batches:
        return Batches(self.store(), lambda: self.pool.members, self.door, self.clock, windows=WINDOWS, connect=connect)

    async def ask(self, requests: Iterable[AnalysisRequest]) -> None:
        await self.handle([encode(one) for one in requests])

    async def handle(self, values: Iterable[bytes]) -> None:
        worker = self.worker()
        await asyncio.gather(*(worker.handle(record(value)) for value in values))

    async def come_again(self, after_s: float = 0.0) -> int:
        """Publish what is due, some time from now, and handle it."""
        self.clock.move(after_s)
        self.topic.published.clear()
        await Retries(self.store(), cast("KafkaProducer", self.topic), self.clock).look()
        await self.handle(self.topic.published)
        return len(self.topic.published)

    def insights(self) -> list[Insight]:
        return self.told.insights()

    def sources(self) -> set[Source]:
        return {insight.source for insight in self.insights()}


@asynccontextmanager
async def lane_at(
    stand_in: StandIn, database: DatabaseSettings, budgets: Budgets = UNLIMITED, **change: object
) -> AsyncIterator[Lane]:
    endpoint = Endpoint(
        name="stand-in",
        base_url=stand_in.url,
        api_key=SecretStr("k"),
        model="test-1",
        input_usd=Decimal(1),
        output_usd=Decimal(1),
        batch=True,
    ).model_copy(update=change)
    clock, treasury = HandClock(), Treasury(database)
    door = Door(budget=Budget(budgets, treasury, clock), accounts=Accounts(treasury))
    async with Pool([endpoint], clock, timeout_s=5.0, door=door) as pool:
        lane = Lane(database, pool, door, clock)
        yield lane
        for store in lane.stores:
            store.close()
    await treasury.close()


def known(database: DatabaseSettings, devices: dict[str, str]) -> None:
    """Have readings of an hour of each device, and say whose it is."""
    store = Store(database)
    store.see_devices([DeviceSeen(device, START, START, {"t": "Cel"}, {"class": "pump"}) for device in devices])
    store.close()
    with connect(database, autocommit=True) as connection:
        for device, tenant in devices.items():
            connection.execute("update devices set tenant = %s where device_id = %s", (tenant, device))
            connection.execute(
                "insert into readings select ts, %(device)s, 't', 20, %(now)s"
                " from generate_series(%(now)s - interval '1 h', %(now)s - interval '1 s', interval '10 min') ts",
                {"device": device, "now": START},
            )


def summary(device: str) -> AnalysisRequest:
    return AnalysisRequest.of_table(
        request_id=deterministic_id("summary", device),
        region="",
        device_id=device,
        metric="t",
        kind="hourly-summary",
        window=(START - HOUR, START),
    )


DEVICES = {f"pump-{number}": "acme" if number % 2 else "rival" for number in range(40)}
SUMMARIES = [summary(device) for device in DEVICES]
FEW = SUMMARIES[:4]


@pytest.fixture(autouse=True)
def devices(database: DatabaseSettings) -> None:
    known(database, DEVICES)


def asked(stand_in: StandIn) -> list[str]:
    """Say which chat completions were asked for."""
    return [one["path"] for one in stand_in.requests() if one["path"].endswith("completions")]


async def test_forty_summaries_of_two_tenants_are_answered_in_few_lines_at_half_the_price(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database, Budgets(total=Decimal(5), each=Decimal(3))) as lane:
        await lane.ask(SUMMARIES)
        assert lane.insights() == []
        assert fetch(STATES) == [("retrying", 40)]
        assert fetch(ITEMS) == [("waiting", 40)]

        batches = lane.batches()
        assert not await batches.look()
        assert stand_in.lines() == {}, "others may join for a while"
        lane.clock.move(60)
        assert await batches.look()
        ((_, lines),) = stand_in.lines().items()
        assert len(lines) == 6
        assert [line["custom_id"] for line in lines] == ["1", "2", "3", "4", "5", "6"]
        assert fetch(ITEMS) == [("asked", 40)]
        (held,) = fetch("select sum(held_usd) from batch_lines")
        assert held[0] > 0

        assert await lane.come_again() == 0
        assert await batches.look()
        assert fetch(BATCHES) == [("completed",)]
        assert await lane.come_again() == 40
        await lane.door.write()
        assert asked(stand_in) == []
        assert not await batches.look()
        await lane.door.close()

    found = lane.insights()
    assert len(found) == 40
    assert {one.device_id: one.tenant for one in found} == DEVICES
    assert {(one.source, one.model, one.kind) for one in found} == {(Source.MODEL, "test-1-stand-in", "hourly-summary")}
    assert all(one.prompt_hash and one.latency_s == 60 for one in found)
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in found)
    half = Decimal(tokens) / 2 / 1_000_000
    assert sum(one.cost_usd for one in found) == pytest.approx(float(half))
    assert fetch("select sum(prompt_tokens + completion_tokens)::int, sum(usd), sum(unsettled_usd) from spend") == [
        (tokens, half, 0)
    ]
    assert fetch(GRANTED, "total") == [(half,)], "the rest has come back"
    assert fetch("select sum(granted) from budgets where scope <> 'total'") == [(half,)]
    assert fetch(STATES) == [("succeeded", 40)]
    assert fetch(ITEMS) == []


async def test_no_line_has_windows_of_two_tenants(database: DatabaseSettings, stand_in: StandIn, fetch: Fetch) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(SUMMARIES)
        lane.clock.move(60)
        await lane.batches().look()
    whose = fetch("select i.line, array_agg(distinct i.tenant), count(*) from batch_items i group by 1 order by 1")
    assert [(tenants, windows) for _, tenants, windows in whose] == [
        (["acme"], 8), (["acme"], 8), (["acme"], 4), (["rival"], 8), (["rival"], 8), (["rival"], 4)
    ]  # fmt: skip
    assert fetch("select line, tenant, windows from batch_lines order by 1") == [
        (line, tenants[0], windows) for line, tenants, windows in whose
    ]
    (lines,) = stand_in.lines().values()
    prompts = [line["body"]["messages"][-1]["content"] for line in lines]
    assert [len(re.findall(r'^\{"n":', prompt, re.MULTILINE)) for prompt in prompts] == [8, 8, 4, 8, 8, 4]
    assert not any("acme" in json.dumps(line) or "rival" in json.dumps(line) for line in lines)


async def test_without_an_endpoint_that_takes_batches_nothing_changes(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database, batch=False) as lane:
        await lane.ask(FEW)
        assert not await lane.batches().look()
    assert lane.sources() == {Source.MODEL}
    assert fetch(STATES) == []


async def test_alarms_and_questions_and_empty_windows_wait_for_no_batch(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    question = summary("pump-1").model_copy(update={"id": deterministic_id("q"), "question": "How is it?"})
    async with lane_at(stand_in, database) as lane:
        await lane.ask([request(), question, summary("unknown")])
    assert sorted(one.source for one in lane.insights()) == [Source.MODEL, Source.MODEL, Source.RULES]
    assert fetch(ITEMS) == []


async def test_what_waits_for_a_batch_is_no_crowd(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "MOST_WAITING", 1)
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        stand_in.queue("503")
        await lane.ask([request()])
        assert lane.insights() == []
        # Nor is what has come back with its answer.
        fetch("delete from tasks where id = %s returning 1", request().id)
        await batches.look()
        stand_in.queue("503")
        await lane.ask([request(id=deterministic_id("another"))])
        assert lane.insights() == []


# -- what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("behaviour", "state"), [("fail", "failed"), ("expire", "expired")])
async def test_what_a_batch_does_not_answer_is_asked_about_in_the_usual_way(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch, behaviour: str, state: str
) -> None:
    async with lane_at(stand_in, database, Budgets(total=Decimal(5))) as lane:
        await lane.ask(SUMMARIES)
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        stand_in.batches(behaviour)
        await batches.look()
        assert fetch(BATCHES) == [(state,)]
        (answered,) = fetch("select count(*) from batch_items where answer is not null")
        assert answered[0] == (20 if behaviour == "expire" else 0)
        assert await lane.come_again() == 40
        await lane.door.close()
    assert len(lane.insights()) == 40
    assert lane.sources() == {Source.MODEL}
    prompts = [
        one["body"]["messages"][-1]["content"]
        for one in stand_in.requests()
        if one["body"] and "messages" in one["body"]
    ]
    assert sum(len(re.findall(r'^\{"n":', prompt, re.MULTILINE)) for prompt in prompts) == 40 - answered[0]
    (spent,) = fetch("select sum(usd), sum(unsettled_usd) from spend")
    assert spent[1] == 0
    assert fetch(GRANTED, "total") == [(spent[0],)]


@pytest.mark.parametrize("behaviour", ["garbage", "lose", "500", "wrong-schema", "partial", "odd-usage", "no-usage"])
async def test_lines_that_cannot_be_used_leave_the_others_as_they_are(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch, behaviour: str
) -> None:
    async with lane_at(stand_in, database, Budgets(total=Decimal(5))) as lane:
        await lane.ask(SUMMARIES)
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        stand_in.queue(behaviour)  # the last line: four windows
        await batches.look()
        assert fetch(BATCHES) == [("completed",)]
        (answered,) = fetch("select count(*) from batch_items where answer is not null")
        assert answered[0] == {"partial": 38, "no-usage": 40}.get(behaviour, 36)
        await lane.come_again()
        await lane.door.close()
    assert len(lane.insights()) == 40
    assert lane.sources() == {Source.MODEL}
    (spent,) = fetch("select sum(usd), sum(unsettled_usd) from spend")
    assert (spent[1] > 0) == (behaviour in {"garbage", "lose"}), "nobody knows what became of it"
    assert fetch(GRANTED, "total") == [(spent[0] + spent[1],)]
    told = sum(one.cost_usd for one in lane.insights())
    assert told == pytest.approx(float(spent[0])), "what a batch took without an answer is told of those asked again"


async def test_an_answer_that_contradicts_its_window_is_refused_and_asked_for_again(
    database: DatabaseSettings, stand_in: StandIn
) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW[:1])
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        stand_in.content(
            '{"answers": [{"summary": "It fell to 999999.", "probable_causes": [], "recommended_actions": [],'
            ' "severity": "critical", "confidence": 1.0, "n": 1}]}'
        )
        await batches.look()
        stand_in.content(None)
        await lane.come_again()
    (insight,) = lane.insights()
    assert (insight.source, "999999" in insight.summary) == (Source.MODEL, False)
    assert len(asked(stand_in)) == 1


async def test_the_answer_is_about_what_was_asked_not_about_what_came_since(
    database: DatabaseSettings, stand_in: StandIn
) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW[:1])
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        with connect(database, autocommit=True) as connection:
            connection.execute("update readings set value = 99")
        await batches.look()
        stand_in.content("unused")
        await lane.come_again()
    assert lane.sources() == {Source.MODEL}


async def test_a_batch_that_hangs_is_overtaken_in_the_usual_way_and_written_off(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    stand_in.batches("hang")
    async with lane_at(stand_in, database, Budgets(total=Decimal(5))) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        await batches.look()
        assert await lane.come_again(24 * 3600) == 0
        assert await lane.come_again(3600) == 4
        assert lane.sources() == {Source.MODEL}
        assert fetch(BATCHES) == [("open",)]
        lane.clock.move(24 * 3600)
        await batches.look()
        assert fetch(BATCHES) == [("lost",)]
    (held,) = fetch("select sum(held_usd) from batch_lines")
    assert fetch("select sum(unsettled_usd) from spend") == [held], "nobody knows what it has cost"


# -- wherever somebody dies --------------------------------------------------------------------------------------------


async def test_a_worker_that_dies_with_the_batch_sent_makes_no_second_one(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        with pytest.raises(ConnectionAbortedError):
            await lane.batches(DiesAfterSubmit).look()
        assert fetch("select state, remote_id from batches") == [("open", None)]
        batches = lane.batches()
        await batches.look()
        assert fetch("select state, remote_id from batches") == [("open", "batch_1")]
        await batches.look()
        await lane.come_again()
    assert len(stand_in.lines()) == 1
    assert len(lane.insights()) == 4
    assert asked(stand_in) == []


async def test_a_worker_that_dies_before_it_sends_leaves_the_windows_to_another_batch(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database, Budgets(total=Decimal(5))) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        with pytest.raises(ConnectionAbortedError):
            await lane.batches(DiesBeforeSubmit).look()
        batches = lane.batches()
        await batches.look()
        assert fetch(BATCHES) == [("open",)], "it may show there a little later"
        lane.clock.move(SHOWS_WITHIN.total_seconds() + 1)
        for _ in range(3):
            await batches.look()
        assert fetch(BATCHES) == [("freed",), ("completed",)]
        await lane.come_again()
        await lane.door.close()
    assert len(stand_in.lines()) == 1
    assert len(lane.insights()) == 4
    assert asked(stand_in) == []
    (spent,) = fetch("select sum(usd) from spend")
    assert fetch(GRANTED, "total") == [spent]


async def test_a_worker_that_dies_before_the_record_is_done_puts_it_off_once(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW)
        await lane.ask(FEW)
        assert fetch(ITEMS) == [("waiting", 4)]
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        await lane.ask(FEW)
        assert fetch(STATES) == [("retrying", 4)]
        await batches.look()
        assert await lane.come_again() == 4
        await lane.ask(FEW)
    once, again = lane.insights()[:4], lane.insights()[4:]
    assert sorted(once, key=lambda one: one.id) == sorted(again, key=lambda one: one.id)
    assert asked(stand_in) == []
    assert fetch(ITEMS) == []


async def test_of_many_who_look_one_makes_the_batch(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(SUMMARIES)
        lane.clock.move(60)
        workers = [lane.batches() for _ in range(4)]
        for _ in range(3):
            await asyncio.gather(*(one.look() for one in workers))
        await lane.come_again()
    assert sum(len(lines) for lines in stand_in.lines().values()) >= 6
    assert fetch("select count(*) from batch_items") == [(0,)]
    assert len(lane.insights()) == 40
    assert asked(stand_in) == []
    assert len([one for one in stand_in.requests() if one["path"] == "/v1/batches"]) == len(fetch(BATCHES))


# -- endpoints and money that are not there ----------------------------------------------------------------------------


async def test_a_server_without_batches_is_asked_in_the_usual_way(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database, Budgets(total=Decimal(5))) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        elsewhere = {"base_url": f"{stand_in.url}/without"}
        await lane.batches(lambda endpoint: Remote(endpoint.model_copy(update=elsewhere))).look()
        assert fetch(BATCHES) == [("refused",)]
        assert await lane.come_again() == 4
    assert lane.sources() == {Source.MODEL}


async def test_what_there_is_no_money_for_waits_and_others_do_not(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    budgets = Budgets(total=Decimal(5), of_tenant={"rival": Decimal("0.000001")})
    async with lane_at(stand_in, database, budgets) as lane:
        await lane.ask(SUMMARIES)
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        assert fetch(ITEMS) == [("asked", 20), ("waiting", 20)]
        await batches.look()
        assert await lane.come_again() == 20
        assert {one.tenant for one in lane.insights()} == {"acme"}
        assert await lane.come_again(25 * 3600) == 20
        await lane.door.close()
    assert len(lane.insights()) == 40
    assert {(one.tenant, one.source) for one in lane.insights()} == {
        ("acme", Source.MODEL),
        ("rival", Source.RULES),
    }
    assert fetch(ITEMS) == []
    assert fetch(GRANTED, "tenant/rival") == [(0,)]


async def test_an_endpoint_that_takes_no_more_batches_still_gives_what_it_was_asked(
    database: DatabaseSettings, stand_in: StandIn
) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        await lane.batches().look()
        member = lane.pool.members["stand-in"]
        await lane.pool.leave("stand-in")
        lane.pool.join(lane.pool.prepare(member.endpoint.model_copy(update={"batch": False})))
        batches = lane.batches()
        assert await batches.look()
        assert not await batches.look()
        assert await lane.come_again() == 4
    assert asked(stand_in) == []
    assert lane.sources() == {Source.MODEL}


async def test_what_waits_is_asked_about_at_once_when_no_endpoint_takes_batches_any_more(
    database: DatabaseSettings, stand_in: StandIn, fetch: Fetch
) -> None:
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW)
    async with lane_at(stand_in, database, batch=False) as lane:
        batches = lane.batches()
        assert not await batches.look()
        assert await lane.come_again() == 4
        assert lane.sources() == {Source.MODEL}
    assert stand_in.lines() == {}
    assert fetch(ITEMS) == []


async def test_it_is_counted_how_batches_end(database: DatabaseSettings, stand_in: StandIn) -> None:
    def counted() -> list[float]:
        labels = [("tidegate_batches_total", "completed"), ("tidegate_batch_windows_total", "answered")]
        return [
            REGISTRY.get_sample_value(name, {"endpoint": "stand-in", "outcome": how}) or 0.0 for name, how in labels
        ]

    before = counted()
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        batches = lane.batches()
        await batches.look()
        await batches.look()
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 4]


async def test_whoever_waits_for_an_endpoint_can_be_ended(database: DatabaseSettings, stand_in: StandIn) -> None:
    class Hangs(Remote):
        async def submit(self, key: str, questions: Sequence[Question], answer: type[BaseModel]) -> str:  # noqa: ARG002
            sent.set()
            await asyncio.Event().wait()
            return ""

    sent = asyncio.Event()
    async with lane_at(stand_in, database) as lane:
        await lane.ask(FEW)
        lane.clock.move(60)
        batches = lane.batches(Hangs)
        looking = asyncio.create_task(batches.look())
        await sent.wait()
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        await asyncio.to_thread(batches._thread.shutdown)  # noqa: SLF001  # the thread is what must not hang
