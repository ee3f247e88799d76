"""Several endpoints as one: what one of them does wrong, nobody has to know."""

import asyncio
import time
from collections import Counter

import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel, SecretStr

from connectors.clock import SystemClock
from connectors.errors import ConnectorError
from connectors.llm import pool as module
from connectors.llm.call import Terms
from connectors.llm.errors import BusyEndpointError, RefusedRequestError, WrongAnswerError
from connectors.llm.pool import Pool
from connectors.llm.settings import Endpoint
from tests.fakes.stand_in import StandIn

TIMEOUT_S = 2.0
# Nothing listens there.
AWAY = "http://127.0.0.1:9/v1"


class Verdict(BaseModel):
    level: int


def endpoint(stand_in: StandIn, behaviour: str, *, name: str = "", url: str = "", **more: object) -> Endpoint:
    """An endpoint that behaves so: the stand-in takes the model's name for that."""
    fields = {"name": name or behaviour, "base_url": url or stand_in.url, "api_key": SecretStr("k"), "model": behaviour}
    return Endpoint.model_validate({**fields, **more})


def pool(*endpoints: Endpoint, timeout_s: float = TIMEOUT_S, region: str = "") -> Pool:
    return Pool(endpoints, SystemClock(), timeout_s=timeout_s, region=region)


async def ask(one: Pool, key: str = "") -> str:
    reply = await one.ask("system", "user", Verdict, terms=Terms(key))
    assert reply.answer == Verdict(level=0)
    return reply.model.removesuffix("-stand-in")


def calls(stand_in: StandIn) -> Counter[str]:
    return Counter(request["body"]["model"] for request in stand_in.requests())


async def test_calls_go_to_all_in_proportion_to_their_weights(stand_in: StandIn) -> None:
    light = endpoint(stand_in, "slow:0.02", max_concurrent=64)
    heavy = endpoint(stand_in, "slow:0.021", max_concurrent=64, weight=3.0)
    async with pool(light, heavy) as one:
        await asyncio.gather(*(ask(one) for _ in range(40)))
    assert calls(stand_in) == {"slow:0.02": 10, "slow:0.021": 30}


async def test_no_endpoint_has_more_calls_at_once_than_it_takes(stand_in: StandIn) -> None:
    async with pool(endpoint(stand_in, "slow:0.05", max_concurrent=2)) as one:
        began = time.monotonic()
        await asyncio.gather(*(ask(one) for _ in range(10)))
    assert time.monotonic() - began >= 5 * 0.05
    spans = [(request["at"], request["until"]) for request in stand_in.requests()]
    assert max(sum(at <= moment < until for at, until in spans) for moment, _ in spans) <= 2


async def test_equal_keys_go_to_the_same_endpoint(stand_in: StandIn) -> None:
    async with pool(*(endpoint(stand_in, "ok", name=name) for name in "abc")) as one:
        taken: dict[str, set[str]] = {}
        for key in [f"k{number}" for number in range(12)] * 3:
            before = {name: len(state.latencies._last) for name, state in one.balancer.states.items()}  # noqa: SLF001  # who answered
            await ask(one, key)
            (went,) = [
                name
                for name, state in one.balancer.states.items()
                if len(state.latencies._last) > before[name]  # noqa: SLF001  # the same
            ]
            taken.setdefault(key, set()).add(went)
    assert all(len(names) == 1 for names in taken.values())
    assert len(set.union(*taken.values())) == 3


# Who fails is left alone after three calls; who would fail again, or asks for it, after the first.
@pytest.mark.parametrize(
    ("behaviour", "tried"),
    [("500", 3), ("reset", 3), ("garbage", 3), ("cut", 3), ("404", 1), ("401", 1), ("429:30", 1)],
)
async def test_what_fails_at_one_is_answered_by_another(stand_in: StandIn, behaviour: str, tried: int) -> None:
    async with pool(endpoint(stand_in, behaviour, weight=1000.0), endpoint(stand_in, "ok")) as one:
        for _ in range(10):
            assert await ask(one) == "ok"
    assert calls(stand_in) == {"ok": 10, behaviour: tried}


async def test_nobody_has_to_wait_for_one_that_died(stand_in: StandIn) -> None:
    async with pool(endpoint(stand_in, "ok", name="dead", url=AWAY, weight=1000.0), endpoint(stand_in, "ok")) as one:
        assert await asyncio.gather(*(ask(one) for _ in range(50))) == ["ok"] * 50
        assert one.balancer.states["dead"].breaker.open_until is not None


async def test_a_call_that_hangs_is_made_again_elsewhere_and_cancelled(stand_in: StandIn) -> None:
    hanging = endpoint(stand_in, "hang", weight=1000.0)
    async with pool(hanging, endpoint(stand_in, "ok")) as one:
        began = time.monotonic()
        assert await ask(one) == "ok"
        assert time.monotonic() - began < TIMEOUT_S
        for _ in range(3):
            await ask(one)
        assert await ask(one) == "ok"
    hung = [request for request in stand_in.requests() if request["body"]["model"] == "hang"]
    assert len(hung) == 3, "it is known to hang by then"
    assert {request["ended"] for request in hung} == {"disconnected"}


async def test_all_that_hang_at_one_that_is_known_to_are_made_again(stand_in: StandIn) -> None:
    hanging = endpoint(stand_in, "hang", weight=1000.0, max_concurrent=30)
    async with pool(hanging, endpoint(stand_in, "ok", max_concurrent=30)) as one:
        began = time.monotonic()
        assert await asyncio.gather(*(ask(one) for _ in range(30))) == ["ok"] * 30
        assert time.monotonic() - began < TIMEOUT_S


async def test_only_so_many_calls_are_made_twice(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEDGES", 2)
    slow, slower = endpoint(stand_in, "slow:0.8"), endpoint(stand_in, "slow:0.81")
    async with pool(slow, slower) as one:
        await asyncio.gather(*(ask(one) for _ in range(8)))
    assert sum(calls(stand_in).values()) == 10


async def test_a_wrong_answer_is_no_failure_of_the_endpoint(stand_in: StandIn) -> None:
    async with pool(endpoint(stand_in, "wrong-schema"), endpoint(stand_in, "ok", weight=0.001)) as one:
        for _ in range(5):
            with pytest.raises(WrongAnswerError):
                await ask(one)
    assert calls(stand_in) == {"wrong-schema": 5}


async def test_when_all_fail_the_last_failure_is_told(stand_in: StandIn) -> None:
    async with pool(endpoint(stand_in, "500"), endpoint(stand_in, "503")) as one:
        with pytest.raises(BusyEndpointError, match="HTTP 50"):
            await ask(one)
    assert calls(stand_in) == {"500": 1, "503": 1}
    async with pool(endpoint(stand_in, "401")) as one:
        with pytest.raises(RefusedRequestError):
            await ask(one)


async def test_while_all_are_away_nobody_waits_long_and_when_one_returns_it_is_used(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    stand_in.queue(*["500"] * 3)
    async with pool(endpoint(stand_in, "test-1")) as one:
        for _ in range(3):
            with pytest.raises(BusyEndpointError, match="HTTP 500"):
                await ask(one)
        with pytest.raises(BusyEndpointError, match="away") as away:
            await ask(one)
        assert calls(stand_in) == {"test-1": 3}, "it is known when the next trial is"
        assert away.value.retry_after_s is not None
        await asyncio.sleep(away.value.retry_after_s - 0.1)
        assert await ask(one) == "test-1", "a short wait is worth it"
        assert one.balancer.states["test-1"].breaker.open_until is None


async def test_the_own_region_comes_first(stand_in: StandIn) -> None:
    near = endpoint(stand_in, "slow:0.2", region="eu", max_concurrent=1)
    far = endpoint(stand_in, "ok", region="us", weight=1000.0)
    async with pool(far, near, region="eu") as one:
        assert await ask(one) == "slow:0.2"
        assert sorted(await asyncio.gather(ask(one), ask(one))) == ["ok", "slow:0.2"]


async def test_giving_up_ends_the_call_upstream(stand_in: StandIn) -> None:
    async with pool(endpoint(stand_in, "hang")) as one:
        asking = asyncio.ensure_future(ask(one))
        await asyncio.to_thread(stand_in.started)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        state = one.balancer.states["hang"]
        assert (state.in_flight, state.breaker.failures) == (0, 0)
        assert await asyncio.to_thread(stand_in.ended, "disconnected")


async def test_all_attempts_together_have_a_deadline(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEDGES", 0)
    hanging = [endpoint(stand_in, "hang", name=name) for name in "abc"]
    async with pool(*hanging, timeout_s=0.4) as one:
        began = time.monotonic()
        with pytest.raises(BusyEndpointError, match=r"no answer within 0\.6 s"):
            await ask(one)
        assert time.monotonic() - began > 0.55


def seen(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_metrics_say_how_each_endpoint_does(stand_in: StandIn) -> None:
    bad = endpoint(stand_in, "500", name="the bad one", weight=1000.0, max_concurrent=8)
    good = endpoint(stand_in, "ok", name="the good one")
    async with pool(bad, good) as one:
        for _ in range(5):
            await ask(one)
    assert seen("tidegate_model_calls_total", endpoint="the bad one", outcome="failed") == 3
    assert seen("tidegate_model_calls_total", endpoint="the good one", outcome="answered") == 5
    assert seen("tidegate_model_call_seconds_count", endpoint="the good one") == 5
    assert seen("tidegate_model_tokens_total", endpoint="the good one", kind="prompt") == 15
    assert seen("tidegate_model_left_alone", endpoint="the bad one") == 1
    assert seen("tidegate_model_calls_limit", endpoint="the bad one") < 8
    assert seen("tidegate_model_calls_in_flight", endpoint="the bad one") == 0


def test_a_pool_of_nothing_is_refused() -> None:
    with pytest.raises(ConnectorError, match="TIDEGATE_LLM__ENDPOINTS"):
        pool()
