"""The limits per minute while the server loses things or is away: nobody stands still, and no minute has more."""

import asyncio
import logging
import math
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from connectors.redis import rates as module
from connectors.redis.rates import PAUSE_S, Rates
from tests.fakes.hand_clock import HandClock
from tests.fakes.own_valkey import OwnValkey
from tests.integration.redis.conftest import MINUTE, Keys, Make

pytestmark = pytest.mark.redis

WORKERS = 4


def is_shared() -> bool:
    return REGISTRY.get_sample_value("tidegate_rates_shared") == 1


async def through_redis(rates: Rates, clock: HandClock, name: str, **limits: int | None) -> float:
    """Take until one was answered by Redis, however busy the machine is."""
    for _ in range(100):
        wait_s = await rates.take(name, **limits)  # type: ignore[arg-type]
        if is_shared():
            return wait_s
        clock.move(PAUSE_S)
    pytest.fail("Redis does not answer")


async def test_without_limits_nobody_is_asked(make: Make, name: str, own_valkey: OwnValkey) -> None:
    rates = make(own_valkey.url)
    own_valkey.kill()
    assert await rates.take(name, rpm=None, tpm=None, tokens=10**9) == 0.0
    await rates.correct(name, tpm=None, tokens=10**9)
    assert is_shared()


async def test_scripts_that_were_lost_are_sent_again(make: Make, own_valkey: OwnValkey, name: str) -> None:
    rates = make(own_valkey.url)
    assert await rates.take(name, rpm=1, tpm=None, tokens=0) == 0.0
    with own_valkey.client() as client:
        client.script_flush()
    assert await rates.take(name, rpm=1, tpm=None, tokens=0) > 0.0
    assert is_shared()


async def test_data_that_was_lost_gives_one_call_at_once(make: Make, own_valkey: OwnValkey, name: str) -> None:
    workers = [make(own_valkey.url) for _ in range(WORKERS)]
    await workers[0].take(name, rpm=1, tpm=None, tokens=0)
    with own_valkey.client() as client:
        client.flushall()
    waits = await asyncio.gather(*(one.take(name, rpm=1, tpm=None, tokens=0) for one in workers * 5))
    assert waits.count(0.0) == 1


async def test_while_redis_is_away_each_worker_has_its_share_and_a_new_one_none(
    make: Make, own_valkey: OwnValkey, clock: HandClock, name: str
) -> None:
    workers = [make(own_valkey.url) for _ in range(WORKERS)]
    for one in workers * 2:  # the first ones did not know of the others yet
        await one.take(name, rpm=400, tpm=None, tokens=0)
    own_valkey.kill()

    for one in workers:
        assert await one.take(name, rpm=400, tpm=None, tokens=0) > 0.0, "a lease starts empty"
    assert not is_shared()
    assert await make(own_valkey.url).take(name, rpm=400, tpm=None, tokens=0) == math.inf
    assert await workers[0].take("another", rpm=400, tpm=None, tokens=0) == math.inf
    granted: list[float] = []
    for _ in range(2 * 60 * 10):
        clock.move(0.1)
        granted += [clock.monotonic() for one in workers if not await one.take(name, rpm=400, tpm=None, tokens=0)]
    assert max(sum(1 for moment in granted if start <= moment < start + 60) for start in granted) <= 400
    assert len(granted) > 600, "and most of it is used"

    own_valkey.start()
    clock.move(PAUSE_S)
    for one in workers:
        await one.take(name, rpm=400, tpm=None, tokens=0)
    assert is_shared()
    told = await make(own_valkey.url, worker="new").take(name, rpm=400, tpm=None, tokens=0)
    assert told < math.inf


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_hangs_is_done_without_until_it_goes_on(
    make: Make, own_valkey: OwnValkey, clock: HandClock, name: str
) -> None:
    rates = make(own_valkey.url)
    await through_redis(rates, clock, name, rpm=600, tpm=None, tokens=0)
    process = own_valkey.process()
    process.suspend()
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(rates.take(name, rpm=600, tpm=None, tokens=0) for _ in range(20)))
            assert not is_shared()
            clock.move(60.0)
            assert await rates.take(name, rpm=600, tpm=None, tokens=0) == 0.0, "of the lease"
            assert not is_shared()
    finally:
        process.resume()
    clock.move(PAUSE_S)
    await through_redis(rates, clock, name, rpm=600, tpm=None, tokens=0)


async def test_a_password_that_is_refused_is_never_logged_and_the_rest_only_once(
    make: Make, own_valkey: OwnValkey, clock: HandClock, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rates = make(own_valkey.url.replace("redis://", "redis://:s3cret@"))
    with own_valkey.client() as client:
        client.config_set("requirepass", "another")
        client.auth("another")
        for _ in range(3):
            waits = await asyncio.gather(*(rates.take(name, rpm=60, tpm=None, tokens=0) for _ in range(20)))
            assert waits == [math.inf] * 20
            clock.move(PAUSE_S)
        assert not is_shared()
        client.config_set("requirepass", "s3cret")
        for _ in range(3):
            await rates.take(name, rpm=60, tpm=None, tokens=0)
        assert is_shared()
        client.config_set("requirepass", "another")
        client.client_kill_filter(skipme=True)
        assert await rates.take(name, rpm=60, tpm=None, tokens=0) < math.inf, "it was told its share by now"
        assert not is_shared()
        client.config_set("requirepass", "")
    ours = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == module.__name__]
    assert [level for level, _ in ours] == ["WARNING", "INFO", "WARNING"]
    assert own_valkey.url.removeprefix("redis://") in ours[0][1]
    assert "AuthenticationError" in ours[0][1]
    assert "s3cret" not in caplog.text


async def test_what_was_granted_meanwhile_is_taken_when_redis_is_back(
    make: Make, own_valkey: OwnValkey, clock: HandClock, name: str
) -> None:
    rates = make(own_valkey.url)
    await rates.take(name, rpm=100, tpm=6000, tokens=100)
    own_valkey.kill()
    await rates.take(name, rpm=100, tpm=6000, tokens=100)
    clock.move(60.0)
    for _ in range(5):
        assert await rates.take(name, rpm=100, tpm=6000, tokens=100) == 0.0
    clock.move(PAUSE_S)
    assert await rates.take(name, rpm=100, tpm=6000, tokens=100) == 0.0, "Redis was asked again, and is away"
    await rates.correct(name, tpm=6000, tokens=50)
    own_valkey.start()
    clock.move(PAUSE_S)
    with own_valkey.client() as client:
        keys = Keys(client, name)
        keys.pass_time(MINUTE)
        await rates.take(name, rpm=100, tpm=6000, tokens=0)
        assert is_shared()
        # 10 at once, less 6, less this one; and two seconds have made up for a part of what was granted.
        assert keys.level("requests") == pytest.approx(3 + 2 * 91 / 60)
        assert keys.level("tokens") == pytest.approx(600 - 650 + 2 * 5401 / 60)
        keys.pass_time(MINUTE)
        await rates.take(name, rpm=100, tpm=6000, tokens=0)
        assert keys.level("requests") == 9, "once"
    own_valkey.kill()
    clock.move(60.0)
    assert await rates.take(name, rpm=100, tpm=6000, tokens=0) > 0.0, "a lease starts empty the second time, too"


async def test_calls_at_once_do_not_pay_twice_for_what_was_granted_meanwhile(
    make: Make, own_valkey: OwnValkey, clock: HandClock, name: str
) -> None:
    rates = make(own_valkey.url)
    for one in (name, "another"):
        await rates.take(one, rpm=100, tpm=None, tokens=0)
    own_valkey.kill()
    await rates.take(name, rpm=100, tpm=None, tokens=0)
    clock.move(60.0)
    for _ in range(6):
        assert await rates.take(name, rpm=100, tpm=None, tokens=0) == 0.0
    own_valkey.start()
    clock.move(PAUSE_S)
    with own_valkey.client() as client:
        Keys(client, name).pass_time(MINUTE)
        await rates.take("another", rpm=100, tpm=None, tokens=0)
        assert is_shared()
        waits = await asyncio.gather(*(rates.take(name, rpm=100, tpm=None, tokens=0) for _ in range(5)))
    assert waits == [0.0] * 5, "10 at once, less 6, and 1.5 that came since"


class Deaf:
    """Lets everybody connect, and never says anything."""

    def __init__(self, listening: socket.socket) -> None:
        listening.settimeout(0)
        self.url = f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        self.connections: list[socket.socket] = []
        self._listening = listening

    def asked(self) -> int:
        """Say how many connections were made since the last time."""
        before = len(self.connections)
        while True:
            try:
                self.connections.append(self._listening.accept()[0])
            except BlockingIOError:
                return len(self.connections) - before


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Deaf(listening)
        yield made
        for connection in made.connections:
            connection.close()


@pytest.mark.usefixtures("impatient")
async def test_where_nothing_is_answered_one_call_a_second_finds_out(
    make: Make, deaf: Deaf, clock: HandClock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = make(deaf.url)
    monkeypatch.setattr(module, "WITHIN_S", 60.0)  # each answer has a time-out of its own
    async with asyncio.timeout(60):
        for _ in range(5):
            assert await rates.take(name, rpm=10, tpm=None, tokens=0) == math.inf
        assert deaf.asked() == 1
        clock.move(PAUSE_S)
        waits = await asyncio.gather(*(rates.take(name, rpm=10, tpm=None, tokens=0) for _ in range(5)))
        assert waits == [math.inf] * 5
        assert deaf.asked() == 1
        clock.move(PAUSE_S)
        await rates.correct(name, tpm=10, tokens=1)
        assert deaf.asked() == 1


async def test_a_trial_that_nobody_waits_for_leaves_another_one(
    make: Make, deaf: Deaf, clock: HandClock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = make(deaf.url)  # its time-outs are long
    with monkeypatch.context() as patch:
        patch.setattr(module, "WITHIN_S", 0.1)  # all together have one, too
        async with asyncio.timeout(20):
            assert await rates.take(name, rpm=10, tpm=None, tokens=0) == math.inf
    clock.move(PAUSE_S)
    deaf.asked()
    for _ in range(2):
        trial = asyncio.create_task(rates.take(name, rpm=10, tpm=None, tokens=0))
        while not deaf.asked():
            assert not trial.done()
            await asyncio.sleep(0.01)
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial


@asynccontextmanager
async def relay(url: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Lead connections to a server; give the way's address, and how to lose what was connected up to now."""
    host, port = url.removeprefix("redis://").removesuffix("/0").split(":")
    ways: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def led(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, int(port))
        writers.extend([writer, to_server])
        ways.update({asyncio.create_task(pump(reader, to_server)), asyncio.create_task(pump(from_server, writer))})

    def lose() -> None:
        for way in ways:
            way.cancel()

    async with await asyncio.start_server(led, "127.0.0.1", 0) as server:
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", lose
        finally:
            lose()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in writers:
                writer.close()
                await writer.wait_closed()


async def test_connections_that_lead_nowhere_are_left_behind(
    make: Make, own_valkey: OwnValkey, clock: HandClock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay(own_valkey.url) as (url, lose):
        rates = make(url)
        await asyncio.gather(*(rates.take(name, rpm=10, tpm=None, tokens=0) for _ in range(5)))
        lose()
        with monkeypatch.context() as patch:
            patch.setattr(module, "WITHIN_S", 0.1)
            await rates.take(name, rpm=10, tpm=None, tokens=0)
        assert not is_shared()
        clock.move(PAUSE_S)
        async with asyncio.timeout(20):
            await rates.take(name, rpm=10, tpm=None, tokens=0)
            assert is_shared()
            await asyncio.gather(*(rates.take(name, rpm=10, tpm=None, tokens=0) for _ in range(5)))
        assert is_shared()
        await rates.close()
