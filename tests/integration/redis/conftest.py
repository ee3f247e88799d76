"""Workers that share limits per minute.

A minute passes by setting back when the buckets were last looked at: nothing waits for it, or for a fast machine.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
import redis
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.redis import rates
from connectors.redis.rates import Rates
from connectors.redis.settings import RedisSettings
from tests.fakes.hand_clock import HandClock

SECOND = 1_000_000
MINUTE = 60 * SECOND
Make = Callable[..., Rates]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let a server that answers take its time: the machine may be busy."""
    if "impatient" not in request.fixturenames:
        monkeypatch.setattr(rates, "TIMEOUT_S", 30.0)
        monkeypatch.setattr(rates, "WITHIN_S", 60.0)


@pytest.fixture
def impatient() -> None:
    """Keep the time-outs as they are."""


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def make(valkey_server: Server, clock: HandClock) -> AsyncIterator[Make]:
    """Make workers' rates, at the suite's server if no other is named; they are closed at the end."""
    made: list[Rates] = []

    def one(url: str = "", worker: str = "") -> Rates:
        settings = RedisSettings(url=SecretStr(url or valkey_server.address))
        made.append(Rates(settings, clock, worker=worker or f"w{len(made)}"))
        return made[-1]

    yield one
    for rates_of_one in made:
        await rates_of_one.close()


@pytest.fixture
def name() -> str:
    return f"e-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True)
class Keys:
    """What an endpoint has at the server."""

    client: redis.Redis
    name: str

    @property
    def buckets(self) -> str:
        return f"tidegate:rate:{{{self.name}}}"

    @property
    def workers(self) -> str:
        return f"{self.buckets}:workers"

    def level(self, bucket: str) -> float:
        found = self.client.hget(self.buckets, bucket)
        assert isinstance(found, str)
        return float(found)

    def pass_time(self, microseconds: int) -> None:
        """Let the buckets believe that so much time has passed."""
        for bucket in ("requests", "tokens"):
            if self.client.hexists(self.buckets, bucket):
                self.client.hincrby(self.buckets, f"{bucket}_at", -microseconds)

    def now(self) -> int:
        seconds, microseconds = self.client.time()
        return int(seconds) * SECOND + int(microseconds)


@pytest.fixture
def keys(valkey_server: Server, name: str) -> Iterator[Keys]:
    with redis.Redis.from_url(valkey_server.address, decode_responses=True) as client:
        yield Keys(client, name)
