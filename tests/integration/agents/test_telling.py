"""Webhooks are told of what is urgent, whoever fails on the way: the receiver, the worker or Kafka."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from connectors.kafka.producer import DeliveryError, Outgoing
from connectors.kafka.producer import Producer as KafkaProducer
from connectors.timescale import erasure
from connectors.timescale.connection import connect
from connectors.timescale.deliveries import LEASE, Deliveries
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.webhooks.sender import Sender
from connectors.webhooks.settings import Webhook
from schemas.codec import decode
from schemas.fields import Severity
from schemas.models import DeadLetter, Insight
from streams.agents.telling import JITTER, Telling, announcing
from tests.fakes.hand_clock import START, HandClock
from tests.fakes.receiver import Receiver, receiver
from tests.integration.timescale.test_insights import insight, other

pytestmark = pytest.mark.database

Fetch = Callable[..., list[tuple[object, ...]]]

STATES = "select state, attempts, error from webhook_deliveries order by hook, id"


class Letters:
    """Keeps what is published, or fails as often as it is told."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.fails = 0

    async def publish_soon(self, records: Iterable[Outgoing]) -> None:
        if self.fails:
            self.fails -= 1
            raise DeliveryError("Kafka is away")
        self.published += records


class World:
    """A receiver, the table, and a clock that is moved."""

    def __init__(self, database: DatabaseSettings, server: Receiver) -> None:
        self.database = database
        self.server = server
        self.clock = HandClock()
        self.letters = Letters()

    def hook(self, **changes: object) -> Webhook:
        secret = "whsec_" + base64.b64encode(bytes(24)).decode()
        return Webhook.model_validate({"name": "on-call", "url": self.server.url, "secret": secret, **changes})

    @asynccontextmanager
    async def telling(self, hook: Webhook) -> AsyncIterator[Telling]:
        deliveries = Deliveries(self.database)
        async with deliveries, Sender(hook, self.clock) as sender:
            producer = cast("KafkaProducer", self.letters)
            yield Telling(hook, deliveries, sender, producer, self.clock, region="eu")

    def store(self, *given: Insight, hooks: Iterable[Webhook]) -> None:
        store = Store(self.database)
        store.store_insights(given, announcing(list(hooks)))
        store.close()

    def ids(self) -> list[str]:
        return [told.headers["webhook-id"] for told in self.server.told]


@pytest.fixture
def world(database: DatabaseSettings) -> Iterator[World]:
    with receiver() as server:
        yield World(database, server)


def critical(number: int = 1, **changes: object) -> Insight:
    return other(number, severity=Severity.CRITICAL, created=START, **changes)


async def test_each_is_told_of_what_it_wants_once(world: World, fetch: Fetch) -> None:
    hooks = [world.hook(), world.hook(name="all", severity="info"), world.hook(name="theirs", tenant="other")]
    grave, other_one = critical(), other(2, severity=Severity.INFO, created=START)
    for _ in range(2):  # a request may come twice: its insight is told of once
        world.store(grave, other_one, grave, hooks=hooks)
    for hook in hooks:
        async with world.telling(hook) as telling:
            await telling.look()
            await telling.look()
    assert sorted(world.ids()) == sorted([grave.id, grave.id, other_one.id])
    bodies = [json.loads(told.body)["data"] for told in world.server.told]
    assert {body["id"]: Insight.model_validate(body) for body in bodies} == {grave.id: grave, other_one.id: other_one}
    assert {row[0] for row in fetch(STATES)} == {"delivered"}


def test_nobody_is_told_of_what_stood_before(world: World, fetch: Fetch) -> None:
    world.store(critical(), hooks=[])
    world.store(critical(), hooks=[world.hook()])
    assert fetch(STATES) == []


async def test_what_fails_is_tried_again_later_and_the_others_do_not_wait(world: World, fetch: Fetch) -> None:
    hook = world.hook()
    world.store(critical(1), hooks=[hook])
    world.server.answers = [500]
    async with world.telling(hook) as telling:
        await telling.look()
        world.store(critical(2), hooks=[hook])
        await telling.look()
        assert world.ids() == [critical(1).id, critical(2).id]
        world.clock.move(4.9)
        await telling.look()
        assert len(world.server.told) == 2
        world.clock.move(5 * (1 + JITTER))
        await telling.look()
    assert world.ids() == [critical(1).id, critical(2).id, critical(1).id]
    first, _, again = world.server.told
    assert first.body == again.body
    assert first.headers["webhook-timestamp"] != again.headers["webhook-timestamp"]
    assert sorted(fetch(STATES)) == [("delivered", 1, None), ("delivered", 2, None)]


async def test_a_pause_that_the_receiver_asks_for_is_kept(world: World) -> None:
    hook = world.hook()
    world.store(critical(), hooks=[hook])
    world.server.answers, world.server.headers = [429], {"retry-after": "600"}
    async with world.telling(hook) as telling:
        await telling.look()
        world.clock.move(599)
        await telling.look()
        assert len(world.server.told) == 1
        world.clock.move(600 * JITTER + 2)
        await telling.look()
    assert len(world.server.told) == 2


@pytest.mark.parametrize(("answers", "attempts"), [([410], 1), ([500, 500], 2)])
async def test_what_never_arrives_goes_to_dead_letters_and_can_be_tried_again(
    world: World, fetch: Fetch, answers: list[int], attempts: int
) -> None:
    hook = world.hook(attempts=2)
    world.store(critical(), hooks=[hook])
    world.server.answers = list(answers)
    async with world.telling(hook) as telling:
        for _ in range(3):
            await telling.look()
            world.clock.move(10)
        assert len(world.server.told) == attempts
        assert fetch(STATES) == [("dead", attempts, f"it answered {answers[0]}")]
        (letter,) = (decode(one.value, DeadLetter) for one in world.letters.published)
        assert (letter.stage, letter.reason, letter.topic) == ("webhook", "undelivered", "insights")
        assert letter.value == world.server.told[0].body
        assert letter.headers == {"webhook": b"on-call", "webhook-id": critical().id.encode()}
        assert letter.key == b"pump-7"

        async with Deliveries(world.database) as deliveries:
            assert await deliveries.revive("nobody", world.clock.now(), who="me") == 0
            assert await deliveries.revive(None, world.clock.now(), who="me") == 1
        await telling.look()
    assert fetch(STATES) == [("delivered", 1, None)]
    assert fetch("select who, action, detail->>'messages' from audit order by id") == [
        ("me", "webhooks retry", "0"),
        ("me", "webhooks retry", "1"),
    ]


async def test_nothing_is_dead_before_kafka_has_its_letter(world: World, fetch: Fetch) -> None:
    hook = world.hook(attempts=1)
    world.store(critical(), hooks=[hook])
    world.server.answers, world.letters.fails = [500, 500], 1
    async with world.telling(hook) as telling:
        await telling.look()
        assert fetch(STATES) == [("waiting", 1, "it answered 500")]
        world.clock.move(61)
        await telling.look()
    assert fetch(STATES) == [("dead", 2, "it answered 500")]
    assert len(world.letters.published) == 1


async def test_another_worker_goes_on_where_one_died(world: World, fetch: Fetch) -> None:
    hook = world.hook()
    world.store(critical(), hooks=[hook])
    async with Deliveries(world.database) as deliveries, world.telling(hook) as telling:
        assert await deliveries.take("on-call", world.clock.now(), limit=10)  # and it dies
        await telling.look()
        assert world.server.told == []
        world.clock.move(LEASE.total_seconds())
        await telling.look()
    assert fetch(STATES) == [("delivered", 2, None)]


async def test_many_workers_tell_of_each_once(world: World, fetch: Fetch) -> None:
    hook = world.hook()
    world.store(*(critical(number) for number in range(60)), hooks=[hook])
    async with world.telling(hook) as one, world.telling(hook) as another:
        await asyncio.gather(one.look(), another.look())
    assert len(world.ids()) == len(set(world.ids())) == 60
    assert {row[:2] for row in fetch(STATES)} == {("delivered", 1)}


async def test_one_that_hangs_holds_up_no_other(world: World) -> None:
    hanging, well = world.hook(timeout_s=5), world.hook(name="well")
    with receiver() as other_server:
        well = Webhook.model_validate(well.model_dump() | {"url": other_server.url, "secret": well.secret})
        world.store(critical(), hooks=[hanging, well])
        world.server.answering.clear()
        async with world.telling(hanging) as stuck, world.telling(well) as telling:
            waiting = asyncio.create_task(stuck.look())
            await telling.look()
            assert not waiting.done()
            assert len(other_server.told) == 1
            world.server.answering.set()
            await waiting


async def test_what_is_old_is_forgotten_and_what_waits_is_not(world: World, fetch: Fetch) -> None:
    hook = world.hook()
    world.store(critical(1), hooks=[hook])
    async with Deliveries(world.database) as deliveries, world.telling(hook) as telling:
        await telling.look()
        world.store(critical(2), hooks=[hook])
        await deliveries.forget(START)
        assert len(fetch(STATES)) == 2
        world.clock.move(60)
        await deliveries.forget(world.clock.now())
        assert fetch(STATES) == [("waiting", 0, None)]


def test_what_is_to_be_told_of_a_device_goes_with_it(world: World, fetch: Fetch) -> None:
    world.store(critical(1), critical(2, device_id="pump-8"), insight(), hooks=[world.hook()])
    with connect(world.database, autocommit=True) as connection:
        erasure.erase(connection, "pump-7", "me")
    assert fetch("select device_id from webhook_deliveries") == [("pump-8",)]
