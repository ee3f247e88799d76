"""A level of the cache outside this process: bytes by key, for a while."""

from typing import Protocol


class Level(Protocol):
    """L2 (`connectors.redis.answers.Answers`) or L3 (`connectors.cache.disk.Disk`).

    Every method raises `ConnectorError` when the level cannot be used; the bytes given may be anybody's.
    """

    async def get(self, key: str) -> bytes | None:
        """Give what is kept under a key."""

    async def put(self, key: str, data: bytes, *, ttl_s: float) -> None:
        """Keep it for so many seconds, at the most."""

    async def remove(self, key: str) -> None:
        """Forget it, if it is there."""

    async def close(self) -> None:
        """Let go of what is open."""
