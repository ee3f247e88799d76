"""Calls to two endpoints, through Tidegate's pool, LiteLLM's router and the bare client, in one process.

Calls begin at a steady rate, whether or not those before have ended; a latency counts from when its call was due. Each
line that is printed is a JSON object: a system, one run of it. `BENCH_SYSTEMS` says which are measured.
"""

import asyncio
import gc
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import openai
from pydantic import BaseModel, SecretStr

from connectors.clock import SystemClock
from connectors.llm.completion import Reply
from connectors.llm.pool import Pool
from connectors.llm.prices import Usage
from connectors.llm.schema import strict_schema
from connectors.llm.settings import Endpoint

URLS = json.loads(os.environ["BENCH_URLS"])
RATE, SECONDS, RUNS = (float(os.environ[f"BENCH_{name}"]) for name in ("RATE", "SECONDS", "RUNS"))
AT_ONCE = 1_000
TIMEOUT_S = 10.0
WARM_UP_S = 0.5

A = TypeVar("A", bound=BaseModel)
Ask = Callable[[], Awaitable[object]]


class Verdict(BaseModel):
    """What is asked for."""

    level: int


MESSAGES: Any = [{"role": "system", "content": "You judge."}, {"role": "user", "content": "Judge this."}]
FORM: Any = {
    "type": "json_schema",
    "json_schema": {"name": "Verdict", "schema": strict_schema(Verdict), "strict": True},
}


def bare() -> Ask:
    """Call one endpoint with the client alone: the limit."""
    client = openai.AsyncOpenAI(base_url=URLS[0], api_key="k", max_retries=0, timeout=TIMEOUT_S)

    async def ask() -> Verdict:
        reply = await client.chat.completions.create(model="ok", messages=MESSAGES, response_format=FORM)
        return Verdict.model_validate_json(reply.choices[0].message.content or "")

    return ask


def tidegate() -> Ask:
    """Call through the pool."""
    endpoints = [
        Endpoint(name=str(number), base_url=url, api_key=SecretStr("k"), model="ok", max_concurrent=AT_ONCE)
        for number, url in enumerate(URLS)
    ]
    pool = Pool(endpoints, SystemClock(), timeout_s=TIMEOUT_S)

    async def ask() -> Verdict:
        return (await pool.ask("You judge.", "Judge this.", Verdict)).answer

    return ask


def router() -> Ask:
    """Call through LiteLLM's router, which has its settings of today."""
    models = [
        {"model_name": "judge", "litellm_params": {"model": "openai/ok", "api_base": url, "api_key": "k"}}
        for url in URLS
    ]
    # It is there in the peer's own environment only.
    import litellm  # type: ignore[import-not-found]  # noqa: PLC0415

    litellm.suppress_debug_info = True
    made = litellm.Router(model_list=models, num_retries=0, timeout=TIMEOUT_S)

    async def ask() -> Verdict:
        reply = await made.acompletion(model="judge", messages=MESSAGES, response_format=FORM)
        return Verdict.model_validate_json(reply.choices[0].message.content)

    return ask


class Instant:
    """An endpoint that answers without a network."""

    base_url = "http://nowhere"

    async def ask(self, system: str, user: str, answer: type[A], *, output_tokens: int | None = None) -> Reply[A]:
        """Answer."""
        del system, user, output_tokens  # there is no model to read them
        return Reply(answer.model_validate({"level": 0}), "instant", Usage())

    async def models(self) -> frozenset[str]:
        """Have none."""
        return frozenset()

    async def close(self) -> None:
        """Close nothing."""


def nothing() -> Ask:
    """Call what answers without a network, and no pool: what the measuring itself shows."""
    model = Instant()

    async def ask() -> Verdict:
        return (await model.ask("You judge.", "Judge this.", Verdict)).answer

    return ask


def alone() -> Ask:
    """Call the pool with nothing behind it: what it costs itself."""
    endpoints = [Endpoint(name=name, base_url="http://nowhere", max_concurrent=AT_ONCE) for name in "ab"]
    pool = Pool(endpoints, SystemClock(), timeout_s=TIMEOUT_S, connect=lambda _endpoint, _timeout_s: Instant())

    async def ask() -> Verdict:
        return (await pool.ask("You judge.", "Judge this.", Verdict)).answer

    return ask


SYSTEMS: dict[str, Callable[[], Ask]] = {
    "bare": bare,
    "tidegate": tidegate,
    "litellm": router,
    "nothing": nothing,
    "alone": alone,
}


async def measured(ask: Ask, seconds: float) -> tuple[list[float], int, float]:
    """Call at the rate; give the latencies in seconds, how many failed, and the CPU time a call, in seconds."""
    latencies: list[float] = []
    failed = 0

    async def call(due: float) -> None:
        nonlocal failed
        try:
            await ask()
        except Exception:  # noqa: BLE001  # whatever a system says, it did not answer
            failed += 1
        else:
            latencies.append(time.perf_counter() - due)

    count = int(RATE * seconds)
    cpu, start = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as calls:
        for number in range(count):
            due = start + number / RATE
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            calls.create_task(call(due))
    return latencies, failed, (time.process_time() - cpu) / count


async def main() -> None:
    """Measure all systems, run after run, one after the other."""
    asks = {name: SYSTEMS[name]() for name in os.environ["BENCH_SYSTEMS"].split(",")}
    for ask in asks.values():
        await measured(ask, WARM_UP_S)
    for _ in range(int(RUNS)):
        for name, ask in asks.items():
            gc.collect()
            latencies, failed, cpu_s = await measured(ask, SECONDS)
            latencies.sort()
            found = {f"p{part}": latencies[int(len(latencies) * part / 100)] * 1e3 for part in (50, 99) if latencies}
            print(json.dumps({"system": name, **found, "failed": failed, "cpu_us": cpu_s * 1e6}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
