"""Two stand-in model endpoints, and what becomes of calls when something happens to one of them while they go on."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from subprocess import Popen
from typing import TypeAlias

from pydantic import BaseModel, SecretStr

from connectors.clock import SystemClock
from connectors.errors import ConnectorError
from connectors.llm import probes
from connectors.llm.pool import Pool
from connectors.llm.settings import Endpoint
from scripts.benches import standin

RATE, BEFORE_S, AFTER_S = 50.0, 2.0, 4.0
AT_ONCE = 64
TIMEOUT_S = 10.0
LOOK_S = 0.002
OUTAGE_S = 5.0


class Verdict(BaseModel):
    """What is asked for."""

    level: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one fault did."""

    calls: int
    failed: int
    # Until the endpoint was called no more, and the longest that a call took.
    moved_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Server:
    """A stand-in: its addresses, and its process."""

    url: str
    control: str
    process: "Popen[str]"

    def behave(self, behaviour: str) -> None:
        """Answer so from here on."""
        standin.call(self.control, "PUT", "default", {"behaviour": behaviour})

    def be_away(self, *, away: bool) -> None:
        """Answer nothing but 503, or everything."""
        standin.call(self.control, "PUT", "models", {"models": ["m"], "status": 503 if away else 200})
        self.behave("503" if away else "ok")


Fault: TypeAlias = Callable[[Server], None]


def behaving(behaviour: str) -> Fault:
    """Make a fault of a behaviour of the stand-in."""
    return lambda server: server.behave(behaviour)


def killed(server: Server) -> None:
    """End it at once."""
    server.process.kill()


def frozen(server: Server) -> None:
    """Let it answer nothing any more, with all its connections open."""
    os.kill(server.process.pid, signal.SIGSTOP)


# What happens to one of two endpoints. Each answers within 20 ms before.
FAULTS: Mapping[str, Fault] = {
    "killed": killed,
    "frozen": frozen,
    "slow (5 s)": behaving("slow:5"),
    "429, Retry-After 5": behaving("429:5"),
    "500": behaving("500"),
    "cuts its answers": behaving("cut"),
    "garbage": behaving("garbage"),
    "401": behaving("401"),
}


def suffer(servers: Sequence[Server], fault: Fault) -> Outcome:
    """Call two endpoints at a steady rate, let something happen to the first, and say what the callers saw."""
    for server in servers:
        server.behave("slow:0.01")
    return asyncio.run(_suffer(servers, fault))


def _endpoints(servers: Sequence[Server]) -> list[Endpoint]:
    return [
        Endpoint(name=str(number), base_url=one.url, api_key=SecretStr("k"), model="m", max_concurrent=AT_ONCE)
        for number, one in enumerate(servers)
    ]


async def _suffer(servers: Sequence[Server], fault: Fault) -> Outcome:
    clock = SystemClock()
    latencies: list[float] = []
    failed = 0
    async with Pool(_endpoints(servers), clock, timeout_s=TIMEOUT_S) as pool:

        async def call() -> None:
            nonlocal failed
            began = time.perf_counter()
            try:
                await pool.ask("You judge.", "Judge this.", Verdict)
            except ConnectorError:
                failed += 1
            latencies.append(time.perf_counter() - began)

        async def calls(seconds: float) -> None:
            start = time.perf_counter()
            for number in range(int(RATE * seconds)):
                await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
                group.create_task(call())

        async with asyncio.TaskGroup() as group:
            await calls(BEFORE_S)
            going_on = group.create_task(calls(AFTER_S))
            await asyncio.to_thread(fault, servers[0])
            began = time.perf_counter()
            first = pool.balancer.states["0"]
            while first.is_up(clock.monotonic()) and not going_on.done():
                await asyncio.wait({going_on}, timeout=LOOK_S)
            moved_s = time.perf_counter() - began
    return Outcome(len(latencies), failed, moved_s, max(latencies))


def outage(servers: Sequence[Server]) -> float:
    """Let all endpoints answer 503 for a while; give the seconds from their return to the first answer."""
    return asyncio.run(_outage(servers))


@contextlib.asynccontextmanager
async def _probed(pool: Pool) -> AsyncIterator[None]:
    async def look() -> None:
        while True:
            await probes.probe(pool)
            await asyncio.sleep(probes.EVERY_S)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait({looking})


async def _outage(servers: Sequence[Server]) -> float:
    for server in servers:
        server.be_away(away=True)
    async with Pool(_endpoints(servers), SystemClock(), timeout_s=TIMEOUT_S) as pool, _probed(pool):
        deadline = time.perf_counter() + OUTAGE_S
        while time.perf_counter() < deadline:
            with contextlib.suppress(ConnectorError):
                await pool.ask("You judge.", "Judge this.", Verdict)
        for server in servers:
            await asyncio.to_thread(server.be_away, away=False)
        back = time.perf_counter()
        while True:
            with contextlib.suppress(ConnectorError):
                await pool.ask("You judge.", "Judge this.", Verdict)
                return time.perf_counter() - back
