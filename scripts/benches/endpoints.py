"""Two stand-in model endpoints, and what becomes of calls when one of them dies while they go on."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import Popen

from pydantic import BaseModel, SecretStr

from connectors.clock import SystemClock
from connectors.errors import ConnectorError
from connectors.llm.pool import Pool
from connectors.llm.settings import Endpoint

RATE, BEFORE_S, AFTER_S = 50.0, 2.0, 4.0
AT_ONCE = 64
TIMEOUT_S = 10.0
LOOK_S = 0.002


class Verdict(BaseModel):
    """What is asked for."""

    level: int


@dataclass(frozen=True, slots=True)
class Death:
    """What one death did."""

    calls: int
    failed: int
    # Until the endpoint was left alone, and the longest that a call took.
    moved_s: float
    longest_s: float


def killed(process: "Popen[str]") -> None:
    """End it at once."""
    process.kill()


def frozen(process: "Popen[str]") -> None:
    """Let it answer nothing any more, with all its connections open."""
    os.kill(process.pid, signal.SIGSTOP)


def die(urls: list[str], dies: Callable[[], None]) -> Death:
    """Call two endpoints at a steady rate, let the first die meanwhile, and say what the callers saw."""
    return asyncio.run(_die(urls, dies))


async def _die(urls: list[str], dies: Callable[[], None]) -> Death:
    endpoints = [
        Endpoint(name=str(number), base_url=url, api_key=SecretStr("k"), model="ok", max_concurrent=AT_ONCE)
        for number, url in enumerate(urls)
    ]
    latencies: list[float] = []
    failed = 0
    async with Pool(endpoints, SystemClock(), timeout_s=TIMEOUT_S) as pool:

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
            died = time.perf_counter()
            dies()
            going_on = group.create_task(calls(AFTER_S))
            breaker = pool.balancer.states["0"].breaker
            while breaker.open_until is None and not going_on.done():
                await asyncio.wait({going_on}, timeout=LOOK_S)
            moved_s = time.perf_counter() - died
    return Death(len(latencies), failed, moved_s, max(latencies))
