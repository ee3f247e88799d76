"""What people said of kept answers: purged, or corrected. Every process hears of it, and no level can bring it back.

Nothing is looked for and deleted: an entry that was made before the order that is about it does not count.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from connectors.cache.entry import Entry, Key

V = TypeVar("V", bound=BaseModel)


class Order(BaseModel, Generic[V]):
    """Purge one answer, a tenant's (no `digest`) or all (no `tenant` either); or (`value`) say what one should be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[int, Field(ge=0)]
    # Seconds since 1970.
    at: Annotated[float, Field(ge=0)]
    tenant: str | None = None
    digest: str | None = None
    value: V | None = None


@dataclass(frozen=True, slots=True)
class _Said(Generic[V]):
    order: int
    at: float
    value: V | None


class Orders(Generic[V]):
    """The orders that were heard; the latest about a thing counts."""

    def __init__(self) -> None:
        """Nothing was ordered yet."""
        self._said: dict[tuple[str | None, str | None], _Said[V]] = {}
        self.heard = 0

    def hear(self, orders: Iterable[Order[V]]) -> None:
        """Take orders, in the order of their ids."""
        for order in orders:
            self.heard = max(self.heard, order.id)
            about = (order.tenant, order.digest)
            before = self._said.get(about)
            if before is None or before.order < order.id:
                self._said[about] = _Said(order.id, order.at, order.value)

    def corrected(self, key: Key) -> V | None:
        """Give what a person said the answer should be, unless that was purged since."""
        said = self._said.get((key.tenant, key.digest))
        if said is None or said.value is None:
            return None
        wider = (self._said.get((key.tenant, None)), self._said.get((None, None)))
        return None if any(one is not None and one.order > said.order for one in wider) else said.value

    def allow(self, entry: Entry[V]) -> bool:
        """Say whether no order is about this entry that was given after it was made."""
        about = ((entry.tenant, entry.digest), (entry.tenant, None), (None, None))
        found = (self._said.get(one) for one in about)
        return not any(said is not None and entry.made <= said.at for said in found)
