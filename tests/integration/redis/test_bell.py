"""Who waits for a task hears that something has happened to it, and knows when nobody would say so."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from connectors.redis.bell import Bell
from connectors.redis.results import LEFT_ALONE_S, MOST_BYTES, Results
from connectors.redis.settings import RedisSettings
from tests.fakes.hand_clock import HandClock
from tests.fakes.own_valkey import OwnValkey

pytestmark = pytest.mark.redis


async def until(bell: Bell, *, works: bool) -> None:
    async with asyncio.timeout(20):
        while bell.works != works:  # noqa: ASYNC110  # it says so to nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def own(own_valkey: OwnValkey) -> RedisSettings:
    return RedisSettings(url=SecretStr(own_valkey.url))


@pytest.fixture
async def ringing(own: RedisSettings) -> AsyncIterator[Bell]:
    bell = Bell(own)
    yield bell
    await bell.close()


async def test_who_waits_for_a_task_hears_it_and_nobody_else_does(own: RedisSettings, ringing: Bell) -> None:
    async with Bell(own) as hearing:
        await until(hearing, works=True)
        with hearing.hear("a") as one, hearing.hear("a") as two, hearing.hear("b") as other:
            ringing.ring("a")
            async with asyncio.timeout(10):
                await asyncio.gather(one.wait(), two.wait())
            assert not other.is_set()
        with hearing.hear("a") as again:
            assert not again.is_set()


async def test_when_redis_has_been_away_everyone_looks_and_then_hears_again(
    own_valkey: OwnValkey, own: RedisSettings, ringing: Bell
) -> None:
    async with Bell(own) as hearing:
        await until(hearing, works=True)
        with hearing.hear("a") as event:
            own_valkey.kill()
            await until(hearing, works=False)
            ringing.ring("a")  # into the void
            async with asyncio.timeout(10):
                await event.wait()
            own_valkey.start()
            await until(hearing, works=True)
            event.clear()
            ringing.ring("a")
            async with asyncio.timeout(10):
                await event.wait()


async def test_what_has_ended_is_found_for_a_while(own_valkey: OwnValkey, own: RedisSettings) -> None:
    clock = HandClock()
    async with Results(own, clock, kept_s=100) as results:
        assert await results.find("a") is None
        await results.keep("a", b"{}")
        await results.keep("b", b"x" * (MOST_BYTES + 1))
        assert [await results.find(one) for one in "ab"] == [b"{}", None]
        with own_valkey.client() as client:
            assert 0 < client.ttl("tidegate:task:a") <= 100
        own_valkey.kill()
        await results.keep("c", b"{}")
        own_valkey.start()
        assert await results.find("a") is None, "it is left alone for a while"
        clock.move(LEFT_ALONE_S)
        await results.keep("c", b"{}")
        assert await results.find("c") == b"{}"
