"""Tasks that have ended, for as long as people poll for them: so the database is asked once, and may be away."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from connectors.clock import Clock
from connectors.closing import Closing
from connectors.redis.settings import RedisSettings

PREFIX: Final = "tidegate:task:"
# How long Redis may take, and for how long it is left alone if it did not answer.
TIMEOUT_S: Final = 0.5
LEFT_ALONE_S: Final = 2.0
# Longer ones are looked up in the database each time.
MOST_BYTES: Final = 256 * 1024

T = TypeVar("T")

log = logging.getLogger(__name__)


class Results(Closing):
    """Reads and writes; for one event loop. Nothing fails: what cannot be read is not there."""

    def __init__(self, settings: RedisSettings, clock: Clock, *, kept_s: int) -> None:
        """Keep what has ended for so many seconds. Nothing is connected yet."""
        self._clock = clock
        self._left_alone_until = 0.0
        url = settings.location
        self._redis = Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
        self._kept_s = kept_s

    async def find(self, task_id: str) -> bytes | None:
        """Give what was kept of a task."""
        found = await self._do(lambda: self._redis.getrange(PREFIX + task_id, 0, MOST_BYTES))
        return found if isinstance(found, bytes) and found else None

    async def keep(self, task_id: str, text: bytes) -> None:
        """Keep what is said of a task that has ended."""
        if len(text) <= MOST_BYTES:
            await self._do(lambda: self._redis.set(PREFIX + task_id, text, ex=self._kept_s))

    async def _do(self, step: Callable[[], Awaitable[T]]) -> T | None:
        if self._clock.monotonic() < self._left_alone_until:
            return None
        try:
            return await step()
        except (RedisError, OSError) as error:
            log.debug("what is kept of tasks cannot be used: %s", type(error).__name__)
            self._left_alone_until = self._clock.monotonic() + LEFT_ALONE_S
            return None

    async def close(self) -> None:
        """End the connections."""
        await self._redis.aclose()
