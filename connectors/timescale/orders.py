"""The table `cache_orders`: answers that people purged or corrected, for all workers to hear of; and `feedback`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.timescale.pool import Pool
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings


@dataclass(frozen=True, slots=True)
class CacheOrder:
    """Purge an answer, a tenant's (no digest) or all (no tenant); or (`value`, JSON) what the answer should be."""

    id: int
    at: datetime
    tenant: str | None
    digest: str | None
    value: str | None


class CacheOrders:
    """Reads and writes orders; for one event loop. Its methods raise what `Pool.run` does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet; it will be when it is first used."""
        self._pool = Pool(settings, "cache-orders", size=1, read_only=False)

    async def since(self, seen: datetime | None, *, kept: timedelta) -> list[CacheOrder]:
        """Give what was said since the last order that was seen, some of it again; at first, all that may still matter.

        An order matters for as long as an answer is kept.
        """
        rows = await self._run("cache_orders", {"since": seen, "kept": kept})
        return [CacheOrder(**row) for row in rows]

    async def add(self, *, tenant: str | None, digest: str | None, value: str | None, said_by: str) -> int:
        """Say it; give the order's id."""
        values = {"tenant": tenant, "digest": digest, "value": value, "said_by": said_by}
        (row,) = await self._run("add_cache_order", values)
        return int(row["id"])

    async def by_source(self) -> dict[str, tuple[int, float]]:
        """Count the insights of the last day by who answered, and give the dollars they cost."""
        rows = await self._run("insights_by_source", {})
        return {row["source"]: (row["insights"], row["usd"]) for row in rows}

    async def insight(self, ids: Sequence[str]) -> dict[str, Any] | None:
        """Find the insight that has one of these ids."""
        rows = await self._run("insight_of_cache", {"ids": list(ids)})
        return rows[0] if rows else None

    async def remark(self, insight_id: str, *, verdict: str, note: str, who: str) -> None:
        """Keep what somebody says of an insight."""
        await self._run("add_feedback", {"insight": insight_id, "verdict": verdict, "note": note, "who": who})

    async def close(self) -> None:
        """End the connection."""
        await self._pool.close()

    async def _run(self, name: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        return await self._pool.run(query(name), values)
