"""What stands before every route: who asks, and whose the devices are."""

from dataclasses import dataclass
from http import HTTPStatus

from connectors.http.access import Access, Caller
from connectors.http.owners import Owners
from connectors.http.parts import Parts
from connectors.http.problems import Problem


@dataclass(frozen=True, slots=True)
class Doors:
    """Shared by all routes of one gateway."""

    access: Access
    owners: Owners

    @classmethod
    def of(cls, parts: Parts) -> "Doors":
        """Make them."""
        return cls(Access(parts.keys, parts.clock), Owners(parts.keys, parts.clock))

    async def known(self, device_id: str, caller: Caller) -> None:
        """See that a device is the caller's. Whether others have one of that name nobody learns.

        Raises:
            Problem: it is not.

        """
        if not await self.owners.sees(device_id, caller):
            raise Problem(HTTPStatus.NOT_FOUND, "unknown", "there is no such device")
