"""The day's budgets for model calls, and what was spent of them: the tables `budgets` and `spend`.

A worker is granted a part of the budgets, of the whole and of its tenant at once, before it spends anything of it; so
whatever workers do at the same time, they are never granted more than there is. The day is the database's, in UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.money import Grant, Spent
from connectors.timescale.pool import Pool
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings

CONNECTIONS = 2
TOTAL = "total"


class Treasury:
    """One database, for many tasks of one event loop at once. Its methods raise what `Pool.run` does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet; it will be when it is first used."""
        self._pool = Pool(settings, "treasury", size=CONNECTIONS, read_only=False)

    async def close(self) -> None:
        """End the connections."""
        await self._pool.close()

    async def grant(self, tenant: str, need: Decimal, *, total: Decimal | None, each: Decimal | None) -> Grant | None:
        """Grant so many dollars or more, of a tenant's budget and the total one; None where one of them is too small.

        A budget that is None has no limit; one of them has.
        """
        most = [one for one in (total, each) if one is not None]
        limits = dict(zip(scopes(tenant, of_total=total is not None, of_tenant=each is not None), most, strict=True))
        values = {"scopes": list(limits), "limits": list(limits.values()), "need": need}
        while True:
            (row,) = await self._run("grant_budget", values)
            if row["opened"]:
                return None if row["usd"] is None else Grant(row["day"], row["usd"], row["seconds_left"])
            # The day has just begun. (So it may again before the next look.)
            await self._run("open_budgets", values)

    async def give_back(
        self, day: date, tenant: str, usd: Decimal, *, total: Decimal | None, each: Decimal | None
    ) -> None:
        """Give back what was granted of a day and not used; less than nothing where more was used."""
        taken = scopes(tenant, of_total=total is not None, of_tenant=each is not None)
        await self._run("give_back_budget", {"day": day, "scopes": taken, "usd": usd})

    async def record(self, spent: Sequence[Spent]) -> None:
        """Add to what was spent today. After an error nobody knows whether it was added."""
        columns = [field.name for field in fields(Spent)]
        values = {column: [getattr(one, column) for one in spent] for column in columns}
        await self._run("record_spend", values)

    async def _run(self, name: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        return await self._pool.run(query(name), values)


def scopes(tenant: str, *, of_total: bool, of_tenant: bool) -> list[str]:
    """Name the budgets that a tenant's money is taken from."""
    return [TOTAL] * of_total + [f"tenant/{tenant}"] * of_tenant
