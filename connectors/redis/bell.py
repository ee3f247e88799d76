"""Who works on a task says when something has happened to it, and who waits for it looks then: a channel of Redis.

A ring is a hint and no more: what has happened stands in the table `tasks`. So nothing is lost while Redis is away;
who waits then looks by themselves.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from connectors.closing import Closing
from connectors.redis.client import address
from connectors.redis.settings import RedisSettings

CHANNEL: Final = "tidegate:tasks"
TIMEOUT_S: Final = 1.0
# How long a connection may say nothing before it is asked whether it is alive; when it is tried again.
ALIVE_S: Final = 10
AGAIN_S: Final = 1.0
# Tasks that wait to be rung for: of more the rest is not.
MOST: Final = 10_000
LONGEST: Final = 64

log = logging.getLogger(__name__)


class Bell(Closing):
    """Rings, and hears others ring; for one event loop."""

    def __init__(self, settings: RedisSettings) -> None:
        """Nothing is connected yet."""
        url = settings.location
        self._redis = Redis.from_url(
            url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, health_check_interval=ALIVE_S
        )
        self._where = address(url)
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._to_ring: set[str] = set()
        self._ringing: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._works = False

    @property
    def works(self) -> bool:
        """Whether a ring would be heard now."""
        return self._works

    @contextmanager
    def hear(self, task_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when something may have happened to a task."""
        event = asyncio.Event()
        self._waiting.setdefault(task_id, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[task_id].discard(event)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    def ring(self, task_id: str) -> None:
        """Say that something has happened to a task. Waits for nothing, and nothing fails."""
        if len(self._to_ring) < MOST:
            self._to_ring.add(task_id)
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.get_running_loop().create_task(self._ring())

    async def __aenter__(self) -> Self:
        """Begin to hear others ring."""
        self._listening = asyncio.get_running_loop().create_task(self._listen())
        return self

    async def close(self) -> None:
        """Ring for what is left, and end the connections."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        if self._ringing is not None:
            await asyncio.wait({self._ringing}, timeout=TIMEOUT_S)
            self._ringing.cancel()
        await self._redis.aclose()

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear_all()
            except (RedisError, OSError) as error:
                if self._works:
                    log.warning("tasks are looked at every second: Redis at %s: %s", self._where, type(error).__name__)
            finally:
                self._works = False
            self._wake_all()
            await asyncio.sleep(AGAIN_S)

    async def _ring(self) -> None:
        while self._to_ring:
            taken, self._to_ring = self._to_ring, set()
            with suppress(RedisError, OSError):
                async with self._redis.pipeline(transaction=False) as steps:
                    for task_id in taken:
                        steps.execute_command("PUBLISH", CHANNEL, task_id)
                    await steps.execute()

    async def _hear_all(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)
            self._works = True
            # What was rung before nobody has heard.
            self._wake_all()
            while True:
                message = await channel.get_message(timeout=ALIVE_S)
                if message is not None:
                    self._wake(bytes(message["data"])[:LONGEST].decode("ascii", "replace"))

    def _wake(self, task_id: str) -> None:
        for event in self._waiting.get(task_id, ()):
            event.set()

    def _wake_all(self) -> None:
        for task_id in self._waiting:
            self._wake(task_id)
