"""The limits per minute that all workers share, on a real server: no minute has more."""

import asyncio
import sys
import uuid
from contextlib import AsyncExitStack

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.redis.rates import Rates
from connectors.redis.settings import RedisSettings
from tests.fakes.hand_clock import HandClock
from tests.integration.redis.conftest import MINUTE, SECOND, Keys, Make

pytestmark = pytest.mark.redis

WORKERS = 4


async def hammered(
    workers: list[Rates], keys: Keys, limits: tuple[int | None, int | None], rounds: list[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """Let all workers take all they can, at once, again and again; give when at the earliest, at the latest, tokens."""
    rpm, tpm = limits
    granted: list[tuple[int, int, int]] = []
    passed = 0

    async def take_all(one: Rates, tokens: int) -> None:
        before = keys.now()
        while await one.take(keys.name, rpm=rpm, tpm=tpm, tokens=tokens) == 0.0:
            after = keys.now()
            granted.append((before + passed, after + passed, tokens))
            before = after

    for pause, tokens in rounds:
        keys.pass_time(pause)
        passed += pause
        await asyncio.gather(*(take_all(one, tokens) for one in workers))
    return granted


def assert_kept(granted: list[tuple[int, int, int]], rpm: int | None, tpm: int | None) -> None:
    """Check what was granted within any time that was surely less than a minute."""
    granted.sort(key=lambda one: one[1])
    for first, (earliest, _, _) in enumerate(granted):
        within = [tokens for _, latest, tokens in granted[first:] if latest - earliest < MINUTE]
        assert rpm is None or len(within) <= rpm
        assert tpm is None or sum(within) <= tpm


@pytest.mark.parametrize(("rpm", "tpm"), [(40, None), (None, 5000), (7, 3000), (200, 900), (1, None)])
async def test_workers_that_take_all_they_can_never_get_more_than_the_limits(
    make: Make, keys: Keys, rpm: int | None, tpm: int | None
) -> None:
    pauses = [0, 1, 0, 70, *[2] * 35, 3, 1, 20, 36, 59, 5, 60, 60, 2, 57, 61, 10, 49]
    rounds = [(seconds * SECOND, 20 + seconds) for seconds in pauses]
    granted = await hammered([make() for _ in range(WORKERS)], keys, (rpm, tpm), rounds)
    assert len(granted) > 5
    assert_kept(granted, rpm, tpm)


@settings(max_examples=25, deadline=None)
@given(
    limits=st.one_of(
        st.tuples(st.integers(1, 40), st.none()),
        st.tuples(st.none(), st.integers(200, 2000)),
        st.tuples(st.integers(1, 40), st.integers(200, 2000)),
    ),
    rounds=st.lists(
        st.tuples(st.one_of(st.integers(0, 2 * SECOND), st.integers(0, 70 * SECOND)), st.integers(1, 20)), max_size=12
    ),
)
def test_whatever_is_taken_at_whatever_times_no_minute_has_more(
    valkey_server: Server, limits: tuple[int | None, int | None], rounds: list[tuple[int, int]]
) -> None:
    async def run() -> list[tuple[int, int, int]]:
        server = RedisSettings(url=SecretStr(valkey_server.address))
        async with AsyncExitStack() as stack:
            workers = [Rates(server, HandClock(), worker=f"w{number}") for number in range(2)]
            for one in workers:
                stack.push_async_callback(one.close)
            return await hammered(workers, endpoint, limits, rounds)

    with redis.Redis.from_url(valkey_server.address, decode_responses=True) as client:
        endpoint = Keys(client, f"e-{uuid.uuid4().hex[:12]}")
        assert_kept(asyncio.run(run()), *limits)


HAMMER = """
import asyncio, sys, time
from pydantic import SecretStr
from connectors.clock import SystemClock
from connectors.redis import rates as module
from connectors.redis.settings import RedisSettings

module.TIMEOUT_S, module.WITHIN_S = 30.0, 60.0

async def main(url, name, worker):
    rates = module.Rates(RedisSettings(url=SecretStr(url)), SystemClock(), worker=worker)
    print("ready", flush=True)
    sys.stdin.readline()
    granted, until = 0, time.monotonic() + 1.0
    while time.monotonic() < until:
        granted += await rates.take(name, rpm=600, tpm=None, tokens=0) == 0.0
    await rates.close()
    print(granted)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_take_all_they_can_never_get_more_than_the_limit(
    valkey_server: Server, keys: Keys
) -> None:
    workers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HAMMER, valkey_server.address, keys.name, f"w{number}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(WORKERS)
    ]
    for one in workers:
        assert one.stdout is not None
        assert await one.stdout.readline() == b"ready\n"
    before = keys.now()
    said = [output for output, _ in await asyncio.gather(*(one.communicate(b"go\n") for one in workers))]
    seconds = (keys.now() - before) / SECOND
    counts = [int(output) for output in said]
    assert 1 <= sum(counts) <= 1 + seconds * (601 - 60) / 60
    assert keys.client.zcard(keys.workers) == WORKERS


async def test_who_is_refused_is_told_when_it_will_be_granted(make: Make, keys: Keys, name: str) -> None:
    rates = make()
    assert await rates.take(name, rpm=1, tpm=None, tokens=0) == 0.0
    wait_s = await rates.take(name, rpm=1, tpm=None, tokens=0)
    assert 0 < wait_s <= 60
    keys.pass_time(int(wait_s * SECOND))
    assert await rates.take(name, rpm=1, tpm=None, tokens=0) == 0.0


async def test_an_endpoint_that_nobody_has_seen_has_room_for_one_call(make: Make, keys: Keys, name: str) -> None:
    first, second = make(), make()
    assert await first.take(name, rpm=1, tpm=60_000, tokens=3000) == 0.0
    assert (keys.level("requests"), keys.level("tokens")) == (0, 0)
    assert await second.take(name, rpm=1, tpm=60_000, tokens=0) > 0.0


async def test_neither_is_taken_where_one_is_short(make: Make, keys: Keys, name: str) -> None:
    rates = make()
    await rates.take(name, rpm=1, tpm=100, tokens=10_000)
    keys.pass_time(MINUTE)
    for _ in range(3):
        assert await rates.take(name, rpm=1, tpm=100, tokens=1) > 60.0
    assert keys.level("requests") == 1
    keys.pass_time(1000 * MINUTE)
    assert await rates.take(name, rpm=1, tpm=100, tokens=0) == 0.0
    assert await rates.take(name, rpm=1, tpm=100, tokens=10) > 0.0
    assert keys.level("tokens") == 10


async def test_a_call_of_more_than_a_bucket_holds_waits_for_a_full_one_and_leaves_a_debt(
    make: Make, keys: Keys, name: str
) -> None:
    rates = make()
    assert await rates.take(name, rpm=None, tpm=6000, tokens=60_000) == 0.0
    wait_s = await rates.take(name, rpm=None, tpm=6000, tokens=5000)
    assert 0 < wait_s <= 60_000 / (5401 / 60), "until it is full"
    keys.pass_time(int(wait_s * SECOND))
    assert await rates.take(name, rpm=None, tpm=6000, tokens=5000) == 0.0
    assert keys.level("tokens") == 600 - 5000
    assert 0 < await rates.take(name, rpm=None, tpm=6000, tokens=1) <= 4401 / (5401 / 60)


async def test_a_correction_takes_more_or_gives_back(make: Make, keys: Keys, name: str) -> None:
    rates = make()
    await rates.take(name, rpm=10, tpm=6000, tokens=500)
    keys.pass_time(MINUTE)
    await rates.correct(name, tpm=6000, tokens=90_000)
    assert keys.level("tokens") == 600 - 90_000
    assert await rates.take(name, rpm=10, tpm=6000, tokens=1) > 60.0
    await rates.correct(name, tpm=6000, tokens=900_000)
    assert keys.level("tokens") < -980_000, "more can be owed by who owes"
    await rates.correct(name, tpm=6000, tokens=-989_900)
    assert 500 <= keys.level("tokens") <= 600
    await rates.correct(name, tpm=6000, tokens=-500)
    assert keys.level("tokens") == 600
    assert await rates.take(name, rpm=10, tpm=6000, tokens=600) == 0.0, "the requests have filled up meanwhile"


async def test_what_was_lost_cannot_be_given_back(make: Make, keys: Keys, name: str) -> None:
    rates = make()
    await rates.correct(name, tpm=6000, tokens=-500)
    assert keys.level("tokens") == 0


async def test_a_limit_that_is_lowered_holds_at_once(make: Make, keys: Keys, name: str) -> None:
    rates = make()
    await rates.take(name, rpm=1000, tpm=None, tokens=0)
    keys.pass_time(MINUTE)
    await rates.take(name, rpm=1000, tpm=None, tokens=0)
    assert keys.level("requests") == 99
    assert await rates.take(name, rpm=20, tpm=None, tokens=0) == 0.0
    assert keys.level("requests") == 1


async def test_a_clock_that_was_set_back_gives_nothing_and_stops_nobody(make: Make, keys: Keys, name: str) -> None:
    rates = make()
    await rates.take(name, rpm=10, tpm=100, tokens=10)
    keys.pass_time(-3600 * SECOND)
    before = keys.level("requests")
    assert await rates.take(name, rpm=10, tpm=100, tokens=10) > 0.0
    assert keys.level("requests") == before
    keys.pass_time(MINUTE)
    assert await rates.take(name, rpm=10, tpm=100, tokens=10) == 0.0


async def test_who_was_not_seen_for_a_minute_does_not_count(make: Make, keys: Keys, name: str) -> None:
    for one in (make(worker="a"), make(worker="b"), make(worker="c")):
        await one.take(name, rpm=10, tpm=None, tokens=0)
    assert keys.client.zrange(keys.workers, 0, -1) == ["a", "b", "c"]
    keys.client.zincrby(keys.workers, -MINUTE, "a")
    keys.client.zincrby(keys.workers, -MINUTE // 6, "b")
    await make(worker="d").take(name, rpm=10, tpm=None, tokens=0)
    assert keys.client.zrange(keys.workers, 0, -1) == ["b", "c", "d"]


async def test_what_nobody_uses_goes_away_after_a_day(make: Make, keys: Keys, name: str) -> None:
    await make().take(name, rpm=10, tpm=None, tokens=0)
    for key in (keys.buckets, keys.workers):
        left = keys.client.ttl(key)
        assert isinstance(left, int)
        assert 80_000 < left <= 86_400
