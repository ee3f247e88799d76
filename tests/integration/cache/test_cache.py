"""Several caches, as of several processes, that share a Valkey: one asks, whatever happens to it or to the server."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis
from prometheus_client import REGISTRY
from pydantic import BaseModel, SecretStr

from connectors.cache import cache as module
from connectors.cache.cache import Cache, Made, Outcome
from connectors.cache.disk import Disk
from connectors.cache.entry import Codec, Key
from connectors.cache.guard import PAUSE_S, Guarded
from connectors.cache.level import Shared
from connectors.cache.memory import Memory
from connectors.cache.orders import Order
from connectors.cache.tiers import L2, L3, Outer, Tiers, Times
from connectors.embedded.server import Server
from connectors.errors import SlowDownError
from connectors.redis.answers import PREFIX, Answers
from connectors.redis.settings import RedisSettings
from tests.fakes.hand_clock import HandClock
from tests.fakes.own_valkey import OwnValkey

pytestmark = pytest.mark.redis

HOUR = 3600.0
TIMES = Times(fresh_s=HOUR, stale_s=HOUR, refused_s=60.0, jitter=0.0)


class Text(BaseModel):
    text: str


class Model:
    """Whoever is asked: counts, and answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may = asyncio.Event()
        self.may.set()
        self.answer: Made[Text] | Exception = Made(Text(text="because"))

    async def __call__(self) -> Made[Text]:
        self.asked += 1
        await self.may.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Workers:
    """Makes caches with a memory of their own, at one server and in one folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.clock = HandClock()
        self.url = url
        self._folder = folder
        self._open: list[Answers | Disk | Cache[Text]] = []

    def one(self, *, disk: bool = False, url: str = "", timeout_s: float = 30.0) -> Cache[Text]:
        answers = Answers(RedisSettings(url=SecretStr(url or self.url)), timeout_s=timeout_s)
        shared: Guarded[Shared] = Guarded(L2, answers, self.clock)
        kept = Disk(self._folder / "l3", most_bytes=2**24)
        outer = Outer(shared, Guarded(L3, kept, self.clock) if disk else None)
        tiers = Tiers(Codec(Text), Memory(most_bytes=2**20, most_entries=100), outer, self.clock, TIMES)
        made = Cache(tiers, self.clock)
        self._open += [made, answers, kept]
        return made

    async def close(self) -> None:
        for one in self._open:
            await one.close()


@pytest.fixture
async def workers(valkey_server: Server, tmp_path: Path) -> AsyncIterator[Workers]:
    made = Workers(valkey_server.address, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def own(own_valkey: OwnValkey, tmp_path: Path) -> AsyncIterator[Workers]:
    made = Workers(own_valkey.url, tmp_path)
    yield made
    await made.close()


@pytest.fixture
def key() -> Key:
    return Key("acme", uuid.uuid4().hex * 2)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tidegate_cache_{name}", labels) or 0.0


def given(text: str, level: str | None, *, own: bool = False) -> Outcome[Text]:
    return Outcome(Text(text=text), None, level, own=own)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for has no event
        await asyncio.sleep(0.005)


async def test_levels_are_looked_up_in_order_and_a_hit_goes_up(workers: Workers, key: Key) -> None:
    model = Model()
    one, two, three = workers.one(disk=True), workers.one(), workers.one(disk=True)
    assert await one.get(key, model) == given("because", None, own=True)
    assert await one.get(key, model) == given("because", "l1")
    assert await two.get(key, model) == given("because", "l2")
    assert await two.get(key, model) == given("because", "l1")
    with redis.Redis.from_url(workers.url) as client:
        assert client.delete(f"{PREFIX}{{{key.digest}}}") == 1
        assert await three.get(key, model) == given("because", "l3")
        assert client.exists(f"{PREFIX}{{{key.digest}}}") == 1
        assert client.exists(f"{PREFIX}{{{key.digest}}}:lease") == 0
        assert 0 < client.pttl(f"{PREFIX}{{{key.digest}}}") <= 2 * HOUR * 1000
    assert await workers.one().get(key, model) == given("because", "l2")
    assert model.asked == 1


async def test_many_in_many_processes_ask_once(workers: Workers, key: Key) -> None:
    model = Model()
    model.may.clear()
    caches = [workers.one() for _ in range(4)]
    asking = [asyncio.create_task(caches[n % 4].get(key, model)) for n in range(500)]
    await until(lambda: model.asked == 1)
    await asyncio.sleep(0.3)
    model.may.set()
    outcomes = await asyncio.gather(*asking)
    assert model.asked == 1
    assert all(outcome.value == Text(text="because") for outcome in outcomes)
    assert sum(outcome.own for outcome in outcomes) == 1
    assert sum(outcome.level == "l2" for outcome in outcomes) == 375


async def test_when_the_one_that_asks_dies_another_asks(
    workers: Workers, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_S", 0.3)
    model, dead = Model(), Model()
    dead.may.clear()
    # It holds a lease that it never renews, as a process that was killed.
    with redis.Redis.from_url(workers.url) as client:
        client.set(f"{PREFIX}{{{key.digest}}}:lease", "dead", px=300)
    caches = [workers.one() for _ in range(3)]
    outcomes = await asyncio.gather(*(one.get(key, model) for one in caches))
    assert model.asked == 1
    assert sorted(outcome.level or "" for outcome in outcomes) == ["", "l2", "l2"]


async def test_when_the_one_that_asks_fails_another_asks(workers: Workers, key: Key) -> None:
    failing, model = Model(), Model()
    failing.may.clear()
    failing.answer = SlowDownError("busy")
    first = asyncio.create_task(workers.one().get(key, failing))
    await until(lambda: failing.asked == 1)
    second = asyncio.create_task(workers.one().get(key, model))
    await asyncio.sleep(0.05)
    assert model.asked == 0
    failing.may.set()
    with pytest.raises(SlowDownError):
        await first
    assert await second == given("because", None, own=True)


async def test_a_leader_is_left_alone_as_long_as_it_lives(
    workers: Workers, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_S", 1.0)
    monkeypatch.setattr(module, "RENEW_S", 0.05)
    slow, model = Model(), Model()
    slow.may.clear()
    first = asyncio.create_task(workers.one().get(key, slow))
    await until(lambda: slow.asked == 1)
    second = asyncio.create_task(workers.one().get(key, model))
    await asyncio.sleep(2.0)
    slow.may.set()
    assert await first == given("because", None, own=True)
    assert await second == given("because", "l2")
    assert model.asked == 0


async def test_who_was_believed_dead_does_not_write_over_its_successor(workers: Workers, key: Key) -> None:
    slow, model = Model(), Model()
    slow.may.clear()
    slow.answer = Made(Text(text="old"))
    first = asyncio.create_task(workers.one().get(key, slow))
    await until(lambda: slow.asked == 1)
    with redis.Redis.from_url(workers.url) as client:
        client.delete(f"{PREFIX}{{{key.digest}}}:lease")
    assert await workers.one().get(key, model) == given("because", None, own=True)
    slow.may.set()
    assert await first == given("old", None, own=True)
    assert await workers.one().get(key, model) == given("because", "l2")


async def test_an_answer_that_is_not_for_others_is_kept_by_nobody(workers: Workers, key: Key) -> None:
    model = Model()
    model.answer = Made(Text(text="7.3"), keep=False)
    one = workers.one(disk=True)
    model.may.clear()
    both = [asyncio.create_task(one.get(key, model)) for _ in range(2)]
    await until(lambda: model.asked == 1)
    model.may.set()
    # Those who waited get it, and check it themselves.
    assert await asyncio.gather(*both) == [given("7.3", None, own=True), given("7.3", None)]
    assert (await one.get(key, model)).own
    assert model.asked == 2


async def test_a_refusal_is_known_for_a_while(workers: Workers, key: Key) -> None:
    model = Model()
    model.answer = Made(refused="number: 12 is none of the window's numbers")
    one, two = workers.one(disk=True), workers.one(disk=True)
    assert (await one.get(key, model)).refused is not None
    assert (await two.get(key, model)) == Outcome(None, "number: 12 is none of the window's numbers", "l2")
    workers.clock.move(61.0)
    model.answer = Made(Text(text="because"))
    assert (await two.get(key, model)).value == Text(text="because")


async def test_what_is_stale_is_given_at_once_and_asked_about_behind_once(workers: Workers, key: Key) -> None:
    model = Model()
    one, two = workers.one(), workers.one()
    await one.get(key, model)
    workers.clock.move(HOUR + 1)
    model.answer = Made(Text(text="newer"))
    model.may.clear()
    for cache in (one, two, one, two):
        assert (await cache.get(key, model)).value == Text(text="because")
    await until(lambda: model.asked == 2)
    model.may.set()
    await until(lambda: not one._behind and not two._behind)  # noqa: SLF001
    assert model.asked == 2
    assert (await workers.one().get(key, model)) == given("newer", "l2")


async def test_what_has_expired_is_asked_about_however_often_it_was_used(workers: Workers, key: Key) -> None:
    model = Model()
    one = workers.one(disk=True)
    model.may.set()
    await one.get(key, model)
    for _ in range(8):
        workers.clock.move(HOUR / 4 - 1)
        await one.get(key, Model())
        await until(lambda: not one._behind)  # noqa: SLF001
    two = workers.one(disk=True)
    workers.clock.move(3 * HOUR)
    assert (await two.get(key, model)).own


async def test_a_stale_answer_stays_when_nobody_can_be_asked(workers: Workers, key: Key) -> None:
    model = Model()
    one = workers.one()
    await one.get(key, model)
    workers.clock.move(HOUR + 1)
    model.answer = SlowDownError("the budget is spent")
    for _ in range(3):
        assert (await one.get(key, model)).value == Text(text="because")
    await until(lambda: not one._behind)  # noqa: SLF001
    assert model.asked == 2


async def test_what_is_corrupt_is_a_miss_and_removed(workers: Workers, key: Key) -> None:
    model = Model()
    before = counted("lookups_total", level="l2", outcome="corrupt")
    with redis.Redis.from_url(workers.url) as client:
        client.set(f"{PREFIX}{{{key.digest}}}", b"\x80\x04pickle")
        assert await workers.one().get(key, model) == given("because", None, own=True)
    assert counted("lookups_total", level="l2", outcome="corrupt") == before + 1
    assert await workers.one().get(key, model) == given("because", "l2")


async def test_an_order_reaches_all_levels(workers: Workers, key: Key) -> None:
    model = Model()
    one = workers.one(disk=True)
    await one.get(key, model)
    workers.clock.move(1.0)
    purge = Order[Text](id=1, at=workers.clock.now().timestamp(), tenant=key.tenant, digest=key.digest)
    workers.clock.move(1.0)
    one.tiers.orders.hear([purge])
    model.answer = Made(Text(text="newer"))
    assert await one.get(key, model) == given("newer", None, own=True)
    assert model.asked == 2
    right = Order[Text](
        id=2, at=workers.clock.now().timestamp(), tenant=key.tenant, digest=key.digest, value=Text(text="right")
    )
    one.tiers.orders.hear([right])
    assert await one.get(key, model) == given("right", "l1")


async def test_without_redis_each_process_asks_once_and_says_so(
    own: Workers, own_valkey: OwnValkey, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model()
    caches = [own.one(disk=n == 0) for n in range(2)]
    own_valkey.kill()
    outcomes = await asyncio.gather(*(caches[n % 2].get(key, model) for n in range(40)))
    assert model.asked == 2
    assert all(outcome.value == Text(text="because") for outcome in outcomes)
    assert counted("away", level="l2") == 1
    assert caplog.text.count("level l2 of the cache cannot be used") == 2
    # The disk goes on.
    assert await own.one(disk=True).get(key, model) == given("because", "l3")
    own.url = own_valkey.start().address
    other = Key("acme", "b" * 64)
    own.clock.move(PAUSE_S)
    returned = [own.one() for _ in range(4)]
    outcomes = await asyncio.gather(*(returned[n % 4].get(other, model) for n in range(100)))
    assert model.asked == 3
    assert counted("away", level="l2") == 0


async def test_a_redis_that_is_too_slow_is_left_alone(own: Workers, own_valkey: OwnValkey, key: Key) -> None:
    model = Model()
    one = own.one(timeout_s=0.1)
    process = own_valkey.process()
    process.send_signal(signal.SIGSTOP)
    try:
        failed = counted("lookups_total", level="l2", outcome="failed")
        assert (await one.get(key, model)).own
        assert counted("lookups_total", level="l2", outcome="failed") == failed + 1
        for n in range(20):
            assert (await one.get(Key("acme", f"{n:064x}"), model)).own
        # None of them waited for it.
        assert counted("lookups_total", level="l2", outcome="failed") == failed + 1
    finally:
        process.send_signal(signal.SIGCONT)
    own.clock.move(PAUSE_S)
    assert (await one.get(Key("acme", "c" * 64), model)).own
    assert await own.one().get(Key("acme", "c" * 64), model) == given("because", "l2")


async def test_a_redis_that_is_full_is_gone_without(own: Workers, own_valkey: OwnValkey, key: Key) -> None:
    model = Model()
    one = own.one(disk=True)
    with own_valkey.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
    assert (await one.get(key, model)).own
    assert await one.get(key, model) == given("because", "l1")
    assert counted("away", level="l2") == 1
    with own_valkey.client() as client:
        client.config_set("maxmemory", "0")
    own.clock.move(PAUSE_S)
    assert (await one.get(Key("acme", "d" * 64), model)).own
    assert counted("away", level="l2") == 0
