"""Whose devices are whose: a key writes, asks about and sees its tenant's alone. A new device is its first writer's."""

from collections.abc import Collection
from typing import Final

from cachetools import TTLCache

from connectors.clock import Clock
from connectors.http.access import Caller
from connectors.http.parts import KeyRing

# Owners hardly ever change; those who do are known everywhere after that time.
REMEMBERED_S: Final = 60.0
MOST_REMEMBERED: Final = 200_000


class Owners:
    """Knows whose devices are; for one event loop. Raises what the ring does, where it has to be asked."""

    def __init__(self, ring: KeyRing | None, clock: Clock) -> None:
        """Nothing is remembered yet. Without a ring everything is everyone's."""
        self._ring = ring
        self._clock = clock
        self._tenants: TTLCache[str, str] = TTLCache(MOST_REMEMBERED, REMEMBERED_S, timer=clock.monotonic)

    async def others(self, device_ids: Collection[str], caller: Caller) -> set[str]:
        """Give those devices that the caller may not write; those that nobody has had become the caller's."""
        if self._ring is None or caller.sees_all:
            return set()
        tenants = self._known(device_ids)
        unknown = [device for device in device_ids if device not in tenants]
        if unknown:
            found = await self._ring.claim(unknown, caller.tenant, self._clock.now())
            self._tenants.update(found)
            tenants |= found
        return {device for device in device_ids if tenants.get(device) != caller.tenant}

    async def sees(self, device_id: str, caller: Caller) -> bool:
        """Say whether a device is the caller's; one that there is not is nobody's."""
        if self._ring is None or caller.sees_all:
            return True
        tenants = self._known([device_id]) or await self._ring.owners([device_id])
        self._tenants.update(tenants)
        return tenants.get(device_id) == caller.tenant

    def _known(self, device_ids: Collection[str]) -> dict[str, str]:
        return {device: tenant for device in device_ids if (tenant := self._tenants.get(device)) is not None}
