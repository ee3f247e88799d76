"""Of a day's budget no more is granted than there is, whoever asks for it at the same time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import SecretStr

from connectors.clock import SystemClock
from connectors.errors import UnreachableError
from connectors.llm.budget import Budget, Budgets
from connectors.llm.errors import BudgetSpentError
from connectors.money import Spent
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.treasury import Treasury

pytestmark = [pytest.mark.database, pytest.mark.within_a_day]

Fetch = Callable[..., list[tuple[object, ...]]]

CENT = Decimal("0.01")


@contextlib.asynccontextmanager
async def treasuries(settings: DatabaseSettings, number: int) -> AsyncIterator[list[Treasury]]:
    opened = [Treasury(settings) for _ in range(number)]
    try:
        yield opened
    finally:
        for one in opened:
            await one.close()


def granted(fetch: Fetch) -> dict[object, object]:
    return dict(fetch("select scope, granted from budgets"))  # type: ignore[arg-type]  # two columns


async def reserve(budget: Budget, tenant: str) -> bool:
    try:
        await budget.reserve(tenant, CENT)
    except BudgetSpentError:
        return False
    return True


async def test_100_callers_of_4_workers_and_money_for_40_calls(database: DatabaseSettings, fetch: Fetch) -> None:
    async with treasuries(database, 4) as workers:
        budgets = [Budget(Budgets(total=40 * CENT), worker, SystemClock()) for worker in workers]
        taken = await asyncio.gather(*(reserve(budgets[n % 4], f"tenant-{n % 3}") for n in range(100)))
        assert sum(taken) == 40
        assert granted(fetch) == {"total": 40 * CENT}


async def test_a_tenant_cannot_spend_what_is_for_all(database: DatabaseSettings, fetch: Fetch) -> None:
    limits = Budgets(total=30 * CENT, each=10 * CENT, of_tenant={"big": 25 * CENT})
    async with treasuries(database, 1) as (worker,):
        budget = Budget(limits, worker, SystemClock())
        assert sum([await reserve(budget, "small") for _ in range(15)]) == 10
        assert sum([await reserve(budget, "big") for _ in range(30)]) == 20
    assert granted(fetch) == {"total": 30 * CENT, "tenant/small": 10 * CENT, "tenant/big": 20 * CENT}


async def test_calls_that_cost_less_make_room_for_more(database: DatabaseSettings, fetch: Fetch) -> None:
    async with treasuries(database, 1) as (worker,):
        budget = Budget(Budgets(total=10 * CENT), worker, SystemClock())
        for _ in range(18):
            budget.settle(await budget.reserve("", CENT), CENT / 2)
        assert await reserve(budget, "")
        with pytest.raises(BudgetSpentError, match=r"TIDEGATE_LLM__BUDGET_USD_PER_DAY"):
            await budget.reserve("", CENT)
    assert granted(fetch) == {"total": 10 * CENT}


async def test_what_one_worker_has_left_is_for_the_others_once_it_ends(
    database: DatabaseSettings, fetch: Fetch
) -> None:
    async with treasuries(database, 2) as (one, two):
        ending, going_on = (Budget(Budgets(total=2 * CENT), worker, SystemClock()) for worker in (one, two))
        ending.settle(await ending.reserve("", 2 * CENT), CENT / 4)
        assert not await reserve(going_on, "")
        await ending.close()
        assert granted(fetch) == {"total": CENT / 4}
        later = Budget(Budgets(total=2 * CENT), two, SystemClock())
        assert await reserve(later, "")


async def test_a_worker_that_dies_has_spent_all_that_it_held(database: DatabaseSettings) -> None:
    async with treasuries(database, 1) as (worker,):
        await Budget(Budgets(total=10 * CENT), worker, SystemClock()).reserve("", 9 * CENT)  # and never settled
        after = Budget(Budgets(total=10 * CENT), worker, SystemClock())
        assert [await reserve(after, "") for _ in range(2)] == [True, False]


async def test_a_large_budget_is_leased_in_hundredths(database: DatabaseSettings, fetch: Fetch) -> None:
    async with treasuries(database, 1) as (worker,):
        budget = Budget(Budgets(total=Decimal(100)), worker, SystemClock())
        for _ in range(100):
            assert await reserve(budget, "")
        assert granted(fetch) == {"total": Decimal(1)}
        # More than was leased has been spent: that is charged, too.
        budget.settle(await budget.reserve("", CENT), Decimal(50))
        await budget.close()
    assert granted(fetch) == {"total": 51}


async def test_yesterday_was_another_budget(database: DatabaseSettings, fetch: Fetch) -> None:
    async with treasuries(database, 1) as (worker,):
        fetch("insert into budgets (day, scope, granted) values (current_date - 2, 'total', 1) returning 1")
        assert await reserve(Budget(Budgets(total=CENT), worker, SystemClock()), "")


async def test_spending_adds_up(database: DatabaseSettings, fetch: Fetch) -> None:
    spent = Spent("acme", "openai", "gpt", 2, 100, 10, 20, CENT, CENT / 2)
    async with treasuries(database, 1) as (worker,):
        await worker.record([spent, Spent("rival", "openai", "gpt", 1)])
        await worker.record([spent])
    rows = fetch("select day, tenant, calls, prompt_tokens, cached_tokens, usd, unsettled_usd from spend order by 2")
    today = datetime.now(UTC).date()
    assert rows[0] == (today, "acme", 4, 200, 20, 2 * CENT, CENT)
    assert rows[1][1:3] == ("rival", 1)


async def test_without_a_database_that_is_said() -> None:
    away = DatabaseSettings(url=SecretStr("postgresql://127.0.0.1:9/none"), connect_timeout_s=0.3)
    async with treasuries(away, 1) as (worker,):
        with pytest.raises(UnreachableError):
            await worker.grant("", CENT, total=CENT, each=None)
