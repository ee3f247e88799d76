"""Leases: what is spent from them, and what happens when there are no more."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import UnreachableError
from connectors.llm.budget import SPENT_FOR_S, Budget, BudgetAwayError, Budgets, Reservation
from connectors.llm.errors import BudgetSpentError
from connectors.money import Grant
from tests.fakes.hand_clock import HandClock

TODAY = date(2026, 3, 1)
HOUR_S = 3600.0


class Grants:
    """A budget of one day that gives `extra` more than is needed, if it can."""

    def __init__(self, usd: int, extra: int = 0) -> None:
        self.left = Decimal(usd)
        self.extra = Decimal(extra)
        self.asked = 0
        self.away = False
        self.day = TODAY

    async def grant(self, tenant: str, need: Decimal, *, total: Decimal | None, each: Decimal | None) -> Grant | None:
        assert (total, each) != (None, None), tenant
        await asyncio.sleep(0)
        self.asked += 1
        if self.away:
            raise UnreachableError("The database", "x", "Y")
        if need > self.left:
            return None
        usd = min(need + self.extra, self.left)
        self.left -= usd
        return Grant(self.day, usd, HOUR_S)

    async def give_back(
        self, day: date, tenant: str, usd: Decimal, *, total: Decimal | None, each: Decimal | None
    ) -> None:
        assert (total, each) != (None, None), tenant
        if self.away:
            raise UnreachableError("The database", "x", "Y")
        if day == self.day:
            self.left += usd


def budget(grants: Grants, clock: HandClock | None = None) -> Budget:
    return Budget(Budgets(total=Decimal(1000)), grants, clock or HandClock())


async def test_what_is_leased_is_spent_before_more_is_asked_for() -> None:
    grants = Grants(100, extra=9)
    one = budget(grants)
    for _ in range(10):
        await one.reserve("", Decimal(1))
    assert grants.asked == 1
    await one.reserve("", Decimal(1))
    assert grants.asked == 2


async def test_without_limits_or_cost_nobody_is_asked() -> None:
    grants = Grants(0)
    await Budget(Budgets(), grants, HandClock()).reserve("", Decimal(5))
    await Budget(Budgets(of_tenant={"a": Decimal(1)}), grants, HandClock()).reserve("b", Decimal(5))
    await budget(grants).reserve("", Decimal(0))
    assert grants.asked == 0


async def test_while_the_budget_cannot_be_reached_only_what_was_leased_is_spent() -> None:
    grants = Grants(100, extra=2)
    one = budget(grants)
    await one.reserve("", Decimal(1))
    grants.away = True
    for _ in range(2):
        await one.reserve("", Decimal(1))
    with pytest.raises(BudgetAwayError):
        await one.reserve("", Decimal(1))
    grants.away = False
    await one.reserve("", Decimal(1))


async def test_who_heard_that_it_is_spent_does_not_ask_all_the_time() -> None:
    grants, clock = Grants(1), HandClock()
    one = budget(grants, clock)
    held = await one.reserve("", Decimal(1))
    for _ in range(5):
        with pytest.raises(BudgetSpentError):
            await one.reserve("", Decimal(1))
    assert grants.asked == 2
    one.settle(held, Decimal(0))
    await one.reserve("", Decimal(1))
    with pytest.raises(BudgetSpentError):
        await one.reserve("", Decimal(1))
    assert grants.asked == 2
    clock.move(SPENT_FOR_S)
    with pytest.raises(BudgetSpentError):
        await one.reserve("", Decimal(1))
    assert grants.asked == 3


async def test_a_new_day_has_a_lease_of_its_own() -> None:
    grants, clock = Grants(10, extra=4), HandClock()
    one = budget(grants, clock)
    held = await one.reserve("", Decimal(1))
    clock.move(HOUR_S)
    grants.day, grants.left, grants.extra = TODAY + timedelta(days=1), Decimal(1), Decimal(0)
    await one.reserve("", Decimal(1))
    # What yesterday's call leaves of its reservation is of yesterday.
    one.settle(held, Decimal(0))
    with pytest.raises(BudgetSpentError):
        await one.reserve("", Decimal(1))


async def test_what_cannot_be_given_back_counts_as_spent() -> None:
    grants = Grants(10, extra=4)
    one = budget(grants)
    await one.reserve("", Decimal(1))
    grants.away = True
    await one.close()
    grants.away = False
    await one.close()
    assert grants.left == 5


CALLS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5), st.booleans()), max_size=60)


@given(total=st.integers(0, 60), extra=st.integers(0, 10), calls=CALLS, workers=st.integers(1, 4))
def test_no_more_is_out_than_there_is_and_what_is_left_is_known_to_the_cent(
    total: int, extra: int, calls: list[tuple[int, int, bool]], workers: int
) -> None:
    async def run() -> None:
        grants, clock = Grants(total, extra), HandClock()
        budgets = [budget(grants, clock) for _ in range(workers)]
        spent = Decimal(0)
        out: list[tuple[Budget, Reservation, Decimal]] = []
        for number, (most, cost, ends) in enumerate(calls):
            one = budgets[number % workers]
            clock.move(SPENT_FOR_S)
            try:
                out.append((one, await one.reserve("", Decimal(most)), min(Decimal(cost), Decimal(most))))
            except BudgetSpentError:
                assert grants.left < most
            assert spent + sum(held.usd for _, held, _ in out) <= total
            if ends and out:
                owner, held, usd = out.pop(0)
                owner.settle(held, usd)
                spent += usd
        for owner, held, usd in out:
            owner.settle(held, usd)
            spent += usd
        for one in budgets:
            await one.close()
        assert grants.left == total - spent

    asyncio.run(run())
