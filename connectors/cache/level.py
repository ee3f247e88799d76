"""A level of the cache outside this process: bytes by digest, for a while.

Every method raises `ConnectorError` when the level cannot be used. The bytes that are given may be anybody's.
"""

from typing import Protocol


class Level(Protocol):
    """L3 (`connectors.cache.disk.Disk`), and most of L2."""

    async def get(self, digest: str) -> bytes | None:
        """Give what is kept under a digest."""

    async def put(self, digest: str, data: bytes, *, ttl_s: float) -> None:
        """Keep it for so many seconds, at the most."""

    async def remove(self, digest: str) -> None:
        """Forget it, if it is there."""


class Shared(Level, Protocol):
    """L2 (`connectors.redis.answers.Answers`), where processes also agree on who asks.

    Who has a lease is its leader until `release`, or until it has not renewed it for the lease's time.
    """

    async def claim(self, digest: str, token: str, *, ttl_s: float) -> bytes | bool:
        """Give what is kept; else say whether the lease is this token's now, or somebody else has it."""

    async def lead(self, digest: str, token: str, *, ttl_s: float) -> bool:
        """Take the lease, or renew it, whatever is kept; False: somebody else has it."""

    async def put_led(self, digest: str, token: str, data: bytes, *, ttl_s: float) -> bool:
        """Keep it, unless somebody else leads by now (then what the other finds is what stands)."""

    async def release(self, digest: str, token: str) -> None:
        """Give the lease back, if it is still this token's."""
