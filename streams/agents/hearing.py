"""Workers hear what people said of kept answers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import ValidationError

from connectors.cache.orders import Order, Orders
from connectors.timescale.orders import CacheOrder
from streams.prompts.kept import Kept


class Says(Protocol):
    """Where it is written (`connectors.timescale.orders.CacheOrders`)."""

    async def since(self, seen: datetime | None, *, kept: timedelta) -> Sequence[CacheOrder]:
        """Give what was said since the last order that was seen, some of it again."""


class Hearing:
    """Passes on what is new; for one event loop."""

    def __init__(self, says: Says, orders: Orders[Kept], *, kept: timedelta) -> None:
        """Answers are `kept` for so long at the most."""
        self._says = says
        self._orders = orders
        self._kept = kept
        self._seen: datetime | None = None

    async def listen(self) -> None:
        """Hear what was said since the last time.

        Raises:
            ConnectorError: the database does not answer.

        """
        said = await self._says.since(self._seen, kept=self._kept)
        self._orders.hear(_order(one) for one in said)
        self._seen = max((one.at for one in said), default=self._seen)


def _order(said: CacheOrder) -> Order[Kept]:
    value = None
    if said.value is not None:
        try:
            value = Kept.model_validate_json(said.value)
        except ValidationError:
            value = None  # of another version: what it is about is asked anew
    return Order(id=said.id, at=said.at.timestamp(), tenant=said.tenant, digest=said.digest, value=value)
