"""Money for calls: reserved before each, settled after it.

A worker takes what it needs from the day's budget, and somewhat more (a *lease*), so that most calls cost no round trip
and calls go on for a while when the budget cannot be reached. Whatever of a lease is not given back counts as spent, so
a worker that dies makes the budget smaller, never larger.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Protocol

from connectors.clock import Clock
from connectors.errors import ConnectorError, SlowDownError
from connectors.llm.errors import BudgetSpentError
from connectors.llm.settings import LlmSettings
from connectors.money import Grant, Held

NOTHING = Decimal(0)
# After it was said that the budget is spent, nobody asks again for so long.
SPENT_FOR_S = 1.0


class BudgetAwayError(SlowDownError):
    """What was leased of the budget is used up, and there is no way to get more now."""


class Grants(Protocol):
    """Who keeps the budgets (`connectors.timescale.treasury.Treasury`)."""

    async def grant(self, tenant: str, need: Decimal, *, total: Decimal | None, each: Decimal | None) -> Grant | None:
        """Grant so many dollars or more; None where the budgets are too small."""

    async def give_back(
        self, day: date, tenant: str, usd: Decimal, *, total: Decimal | None, each: Decimal | None
    ) -> None:
        """Give back what was granted of a day and not used."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Dollars for a day: for all together, for each tenant, and for those that have one of their own; None: any."""

    total: Decimal | None = None
    each: Decimal | None = None
    of_tenant: dict[str, Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: LlmSettings) -> "Budgets":
        """Take them from the settings."""
        return cls(
            settings.budget_usd_per_day, settings.tenant_budget_usd_per_day, dict(settings.tenant_budgets_usd_per_day)
        )

    def tenant(self, tenant: str) -> Decimal | None:
        """Give a tenant's."""
        return self.of_tenant.get(tenant, self.each)

    def is_limited(self) -> bool:
        """Say whether there is any limit."""
        return self.total is not None or self.each is not None or bool(self.of_tenant)


@dataclass(eq=False, slots=True)
class _Lease:
    day: date = date.min
    left: Decimal = NOTHING
    until: float = float("-inf")


@dataclass(eq=False, slots=True)
class _Tenant:
    lease: _Lease = field(default_factory=_Lease)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    spent_until: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that a call may cost."""

    usd: Decimal
    lease: _Lease | None = None


class Budget:
    """Reserves and settles; for one event loop."""

    def __init__(self, budgets: Budgets, grants: Grants, clock: Clock) -> None:
        """Nothing is leased yet."""
        self._budgets = budgets
        self._grants = grants
        self._clock = clock
        self._tenants: dict[str, _Tenant] = {}

    def is_limited(self) -> bool:
        """Say whether there is any limit."""
        return self._budgets.is_limited()

    async def reserve(self, tenant: str, usd: Decimal) -> Reservation:
        """Set aside what a call may cost at the most. What it costs in the end is told to `settle`, if it is known.

        Raises:
            BudgetSpentError: there is not so much left of the day's budget.
            BudgetAwayError: nobody can say what is left.

        """
        total, each = self._budgets.total, self._budgets.tenant(tenant)
        if usd == NOTHING or (total is None and each is None):
            return Reservation(usd)
        mine = self._tenants.setdefault(tenant, _Tenant())
        while not self._take(mine, usd):
            async with mine.asking:
                if not self._has(mine, usd):  # others may have asked meanwhile
                    await self._lease_more(tenant, mine, usd)
        return Reservation(usd, mine.lease)

    async def hold(self, tenant: str, usd: Decimal) -> Held:
        """Set aside as `reserve` does what another process may settle: nothing of it comes back here.

        Raises:
            BudgetSpentError, BudgetAwayError: as for `reserve`.

        """
        lease = (await self.reserve(tenant, usd)).lease
        if lease is None:
            return Held(tenant, usd)
        total, each = self._budgets.total, self._budgets.tenant(tenant)
        return Held(tenant, usd, lease.day, of_total=total is not None, of_tenant=each is not None)

    def settle(self, reservation: Reservation, usd: Decimal) -> None:
        """End a reservation with what the call has cost. One that is never settled counts as spent."""
        if reservation.lease is not None:
            reservation.lease.left += reservation.usd - usd

    async def close(self) -> None:
        """Give back what is left; what cannot be given back counts as spent."""
        for tenant, mine in self._tenants.items():
            await self._give_back(tenant, mine.lease)

    def _has(self, mine: _Tenant, usd: Decimal) -> bool:
        return mine.lease.left >= usd and self._clock.monotonic() < mine.lease.until

    def _take(self, mine: _Tenant, usd: Decimal) -> bool:
        if not self._has(mine, usd):
            return False
        mine.lease.left -= usd
        return True

    async def _lease_more(self, tenant: str, mine: _Tenant, usd: Decimal) -> None:
        now = self._clock.monotonic()
        if now < mine.spent_until:
            raise BudgetSpentError(tenant, usd)
        lease = mine.lease if now < mine.lease.until else _Lease()
        total, each = self._budgets.total, self._budgets.tenant(tenant)
        try:
            granted = await self._grants.grant(tenant, usd - lease.left, total=total, each=each)
        except ConnectorError as error:
            raise BudgetAwayError(f"The model budget cannot be reached: {error}") from error
        if granted is None:
            mine.spent_until = self._clock.monotonic() + SPENT_FOR_S
            # With what others have left it may be enough for one more call.
            await self._give_back(tenant, lease)
            raise BudgetSpentError(tenant, usd)
        if granted.day != lease.day:
            lease = mine.lease = _Lease(granted.day)
        lease.until = self._clock.monotonic() + granted.seconds_left
        lease.left += granted.usd

    async def _give_back(self, tenant: str, lease: _Lease) -> None:
        usd, lease.left = lease.left, NOTHING
        if usd == NOTHING:
            return
        total, each = self._budgets.total, self._budgets.tenant(tenant)
        try:
            await self._grants.give_back(lease.day, tenant, usd, total=total, each=each)
        except ConnectorError:
            # Nobody knows whether it was given back: what counts as spent twice is better than what is spent twice.
            lease.left = min(usd, NOTHING)
