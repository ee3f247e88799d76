"""What calls cost, and who may make them: money that is reserved and settled, minutes, tiers, who joins and leaves."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import REGISTRY

from connectors.clock import SystemClock
from connectors.errors import ConnectorError
from connectors.llm.accounts import Accounts
from connectors.llm.budget import Budget, Budgets
from connectors.llm.call import Terms
from connectors.llm.door import Door
from connectors.llm.errors import BudgetSpentError, BusyEndpointError, WrongAnswerError
from connectors.llm.pool import Pool
from connectors.llm.probes import probe
from connectors.llm.schema import request_bytes
from connectors.llm.settings import Endpoint, OutputLimit, Tier
from connectors.money import Grant, Spent
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.treasury import Treasury
from tests.fakes.stand_in import StandIn
from tests.integration.llm.test_pool import TIMEOUT_S, Verdict, calls, endpoint

OUTPUT_TOKENS = 1000
SLOW = "slow:4"
# A dollar for a million tokens, whatever kind: the most that a call can cost, in tokens.
MOST = request_bytes("system", "user", Verdict) + 64 + OUTPUT_TOKENS
COSTS: dict[str, Any] = {"input_usd": 1, "output_usd": 1}
DOLLAR = Decimal(1_000_000)


class Books:
    """Keeps what is written down; has no budgets."""

    def __init__(self) -> None:
        self.spent: list[Spent] = []

    async def record(self, spent: Sequence[Spent]) -> None:
        self.spent += spent

    async def grant(self, *_: object, **__: object) -> Grant | None:
        raise AssertionError

    async def give_back(self, *_: object, **__: object) -> None:
        raise AssertionError


class Minute:
    """Grants so many requests, then says how long to wait."""

    def __init__(self, *waits_s: float) -> None:
        self.waits = list(waits_s)
        self.taken: list[tuple[str, int]] = []
        self.corrected = 0

    async def take(self, name: str, *, rpm: int | None, tpm: int | None, tokens: int) -> float:
        assert (rpm, tpm) == (60, 1000)
        self.taken.append((name, tokens))
        return self.waits.pop(0) if self.waits else 0.0

    async def correct(self, name: str, *, tpm: int | None, tokens: int) -> None:
        assert (name, tpm) == ("limited", 1000)
        self.corrected += tokens


def pool(*endpoints: Endpoint, door: Door | None = None, timeout_s: float = TIMEOUT_S) -> Pool:
    return Pool(endpoints, SystemClock(), timeout_s=timeout_s, door=door)


async def ask(one: Pool, tenant: str = "", tier: Tier = Tier.SMALL) -> str:
    terms = Terms(tenant=tenant, tier=tier, output_tokens=OUTPUT_TOKENS)
    return (await one.ask("system", "user", Verdict, terms=terms)).model.removesuffix("-stand-in")


async def spend(one: Pool, times: int) -> Counter[str]:
    """Ask so many times at once; count the answers, and the kinds of failure."""
    ended = await asyncio.gather(*(ask(one) for _ in range(times)), return_exceptions=True)
    return Counter(each if isinstance(each, str) else type(each).__name__ for each in ended)


@pytest.mark.database
@pytest.mark.within_a_day
async def test_100_callers_and_money_for_40_calls(
    stand_in: StandIn, database: DatabaseSettings, fetch: Callable[..., list[tuple[object, ...]]]
) -> None:
    # None is answered before all have asked, however busy the machine is: what it leaves would pay for another.
    model = endpoint(stand_in, SLOW, max_concurrent=100, **COSTS)
    treasury = Treasury(database)
    door = Door(budget=Budget(Budgets(total=40 * MOST / DOLLAR), treasury, SystemClock()), accounts=Accounts(treasury))
    async with pool(model, door=door, timeout_s=30.0) as one:
        assert await spend(one, 100) == {SLOW: 40, "BudgetSpentError": 60}
        assert calls(stand_in) == {SLOW: 40}
        # What they did not need of it pays for more.
        used = {request["usage"]["total_tokens"] for request in stand_in.requests()}.pop()
        more = 40 * (MOST - used) // MOST
        assert await spend(one, 100) == {SLOW: more, "BudgetSpentError": 100 - more}
    assert fetch("select granted from budgets") == [((40 + more) * used / DOLLAR,)], "all else was given back"
    assert fetch("select calls, usd, unsettled_usd from spend") == [(40 + more, (40 + more) * used / DOLLAR, 0)]
    await treasury.close()


async def test_what_a_call_has_cost_is_said_and_written_down(stand_in: StandIn) -> None:
    books = Books()
    door = Door(accounts=Accounts(books))
    async with pool(endpoint(stand_in, "ok", input_usd=10, output_usd=1000), door=door) as one:
        reply = await one.ask("system", "user", Verdict, terms=Terms(tenant="acme"))
        usage = reply.usage
        assert usage.usd == (usage.prompt_tokens * 10 + usage.completion_tokens * 1000) / DOLLAR > 0
        before = REGISTRY.get_sample_value("tidegate_model_usd_total", {"endpoint": "ok"}) or 0.0
        await ask(one, "acme")
        assert REGISTRY.get_sample_value("tidegate_model_usd_total", {"endpoint": "ok"}) == pytest.approx(
            before + float(usage.usd)
        )
        await ask(one, "rival")
    acme, rival = sorted(books.spent, key=lambda one: one.tenant)
    assert (acme.endpoint, acme.model, acme.calls, acme.usd) == ("ok", "ok", 2, 2 * usage.usd)
    assert (rival.tenant, rival.calls, rival.unsettled_usd) == ("rival", 1, Decimal(0))


# What is known to have cost nothing, and what nobody knows of: then it has cost all that was reserved.
@pytest.mark.parametrize(
    ("behaviour", "error", "unsettled"),
    [
        ("500", BusyEndpointError, 0),
        ("429", BusyEndpointError, 0),
        ("400", ConnectorError, 0),
        ("reset", BusyEndpointError, MOST),
        ("cut", BusyEndpointError, MOST),
        ("hang", BusyEndpointError, MOST),
        ("wrong-schema", WrongAnswerError, 0),
    ],
)
async def test_what_a_call_that_failed_has_cost(
    stand_in: StandIn, behaviour: str, error: type[Exception], unsettled: int
) -> None:
    books = Books()
    door = Door(accounts=Accounts(books))
    async with pool(endpoint(stand_in, behaviour, **COSTS), door=door, timeout_s=0.5) as one:
        with pytest.raises(error):
            await ask(one)
    (spent,) = books.spent
    assert spent.unsettled_usd == unsettled / DOLLAR
    assert (spent.usd > 0) == (behaviour == "wrong-schema")


async def test_what_was_never_sent_costs_nothing(stand_in: StandIn) -> None:
    books = Books()
    away = endpoint(stand_in, "ok", url="http://127.0.0.1:9/v1", **COSTS)
    async with pool(away, door=Door(accounts=Accounts(books))) as one:
        with pytest.raises(BusyEndpointError):
            await ask(one)
    assert [spent.unsettled_usd for spent in books.spent] == [0]


async def test_a_server_that_does_not_say_what_it_used_is_paid_for_the_most(stand_in: StandIn) -> None:
    books = Books()
    async with pool(endpoint(stand_in, "no-usage", **COSTS), door=Door(accounts=Accounts(books))) as one:
        await ask(one)
    assert [spent.usd for spent in books.spent] == [MOST / DOLLAR]


async def test_who_has_no_money_for_one_asks_another_that_costs_nothing(
    stand_in: StandIn, database: DatabaseSettings
) -> None:
    treasury = Treasury(database)
    door = Door(budget=Budget(Budgets(total=Decimal(0)), treasury, SystemClock()))
    dear = endpoint(stand_in, "slow:0.01", weight=1000.0, **COSTS)
    free = endpoint(stand_in, "ok", input_usd=0, output_usd=0)
    async with pool(dear, free, door=door) as one:
        assert [await ask(one) for _ in range(3)] == ["ok"] * 3
    async with pool(dear, door=door) as one:
        with pytest.raises(BudgetSpentError, match="midnight UTC"):
            await ask(one)
    await treasury.close()


def test_with_a_budget_every_price_has_to_be_known(stand_in: StandIn) -> None:
    door = Door(budget=Budget(Budgets(total=Decimal(1)), Books(), SystemClock()))
    with pytest.raises(ConnectorError, match=r"(?s)'ok'.*not known.*input_usd"):
        pool(endpoint(stand_in, "ok"), door=door)
    with pytest.raises(ConnectorError, match="output_limit"):
        pool(endpoint(stand_in, "ok", output_limit="none", **COSTS), door=door)
    pool(endpoint(stand_in, "ok", input_usd=0, output_usd=0, output_limit="none"), door=door)


@pytest.mark.parametrize("limit", OutputLimit)
async def test_the_endpoint_is_told_how_long_the_answer_may_be(stand_in: StandIn, limit: OutputLimit) -> None:
    async with pool(endpoint(stand_in, "ok", output_limit=limit, reasoning_tokens=50)) as one:
        await ask(one)
    (request,) = stand_in.requests()
    told = {name: request["body"].get(name) for name in ("max_tokens", "max_completion_tokens")}
    expected: dict[str, int | None] = dict.fromkeys(told)
    if limit is not OutputLimit.NONE:
        expected[limit] = OUTPUT_TOKENS + 50
    assert told == expected


class NoWallClock(SystemClock):
    """A clock of which nobody may ask the time of day: so no jump of it changes anything."""

    def now(self) -> datetime:
        raise AssertionError


@pytest.mark.database
async def test_a_clock_that_jumps_changes_nothing(stand_in: StandIn, database: DatabaseSettings) -> None:
    clock, treasury, minute = NoWallClock(), Treasury(database), Minute(0.0, 0.2)
    door = Door(rates=minute, budget=Budget(Budgets(total=Decimal(1)), treasury, clock), accounts=Accounts(treasury))
    limited = endpoint(stand_in, "test-1", name="limited", rpm=60, tpm=1000, **COSTS)
    async with Pool([limited], clock, timeout_s=TIMEOUT_S, door=door) as one:
        stand_in.queue("500", "429:0.1")
        for _ in range(2):
            with pytest.raises(BusyEndpointError):
                await ask(one)
        assert await ask(one) == "test-1"
        await probe(one)
    await treasury.close()


async def test_a_minute_that_is_used_up_is_waited_for(stand_in: StandIn) -> None:
    minute = Minute(0.0, 0.3)
    limited = endpoint(stand_in, "ok", name="limited", rpm=60, tpm=1000)
    async with pool(limited, door=Door(rates=minute)) as one:
        await ask(one)
        began = time.monotonic()
        await ask(one)
        assert time.monotonic() - began >= 0.3
        assert one.balancer.states["limited"].in_flight == 0
    assert len(minute.taken) == 3
    usage = stand_in.requests()[0]["usage"]
    assert minute.corrected == 2 * (usage["total_tokens"] - minute.taken[0][1])


async def test_whoever_has_room_in_its_minute_is_asked_instead(stand_in: StandIn) -> None:
    limited = endpoint(stand_in, "slow:0.01", name="limited", rpm=60, tpm=1000, weight=1000.0)
    for wait_s in (30.0, math.inf):
        other = endpoint(stand_in, "ok", rpm=60, tpm=1000)
        minute = Minute(wait_s)
        async with pool(limited, other, door=Door(rates=minute)) as one:
            other_minute = Minute()
            minute.correct = other_minute.correct = _ignored  # type: ignore[method-assign]  # not what this is about
            assert await ask(one) == "ok"


async def _ignored(*_: object, **__: object) -> None:
    """Correct nothing."""


async def test_what_the_headers_say_of_the_minute_is_respected(stand_in: StandIn) -> None:
    # One of 60 comes back in half a second.
    async with pool(endpoint(stand_in, "left:0:30s")) as one:
        began = time.monotonic()
        await ask(one)
        await ask(one)
        assert time.monotonic() - began >= 0.5
    first, second = stand_in.requests()
    assert second["at"] - first["until"] >= 0.45


async def test_each_tier_is_asked_what_is_for_it(stand_in: StandIn) -> None:
    small, large = endpoint(stand_in, "ok"), endpoint(stand_in, "slow:0.2", tier="large", max_concurrent=1)
    async with pool(small, large) as one:
        assert await ask(one) == "ok"
        assert await ask(one, tier=Tier.LARGE) == "slow:0.2"
        # The small one stands in for the large one that has no room.
        assert sorted(await asyncio.gather(*(ask(one, tier=Tier.LARGE) for _ in range(3)))) == ["ok", "ok", "slow:0.2"]


async def test_a_large_model_stands_in_only_for_small_ones_that_are_away(stand_in: StandIn) -> None:
    busy, large = endpoint(stand_in, "slow:0.1", max_concurrent=1), endpoint(stand_in, "ok", tier="large")
    async with pool(busy, large) as one:
        assert set(await asyncio.gather(*(ask(one) for _ in range(3)))) == {"slow:0.1"}
    away = endpoint(stand_in, "500", max_concurrent=1)
    async with pool(away, large) as one:
        assert await ask(one) == "ok"


async def test_endpoints_join_and_leave_while_calls_are_made(stand_in: StandIn) -> None:
    async with pool(endpoint(stand_in, "slow:0.3", max_concurrent=1)) as one:
        waiting = [asyncio.create_task(ask(one)) for _ in range(3)]
        await asyncio.sleep(0.1)
        one.join(one.prepare(endpoint(stand_in, "ok")))
        await one.leave("slow:0.3")
        assert sorted(await asyncio.gather(*waiting)) == ["ok", "ok", "slow:0.3"], "what was begun is ended"
        assert await ask(one) == "ok"
        await one.leave("ok")
        with pytest.raises(BusyEndpointError, match="away"):
            await ask(one)
