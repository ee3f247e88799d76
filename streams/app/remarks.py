"""What people say of insights: it is kept, and what is wrong is asked about anew."""

from connectors.closing import Closing
from connectors.timescale.orders import CacheOrders
from streams.app.cache_keys import keys_of
from streams.settings import Settings

WRONG = "wrong"


class Remarks(Closing):
    """Takes remarks; for one event loop. Its methods raise what the database does."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is connected yet."""
        self._settings = settings
        self._orders = CacheOrders(settings.database)

    async def tenant_of(self, insight_id: str) -> str | None:
        """Say whose an insight is; None: there is none."""
        found = await self._orders.insight([insight_id])
        return None if found is None else str(found["tenant"])

    async def say(self, insight_id: str, verdict: str, note: str, who: str) -> None:
        """Keep a remark. A wrong answer is forgotten in all caches: whoever asks the same is given a new one."""
        found = await self._orders.insight([insight_id])
        await self._orders.remark(insight_id, verdict=verdict, note=note, who=who)
        if verdict == WRONG and found is not None:
            for key in keys_of(found, self._settings):
                await self._orders.add(tenant=key.tenant, digest=key.digest, value=None, said_by=who)

    async def close(self) -> None:
        """End the connection."""
        await self._orders.close()
