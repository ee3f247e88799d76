"""The cache as those who ask models see it: an answer that was kept, or one that is asked for once, whoever wants it.

In one process whoever comes first asks (`flight`). Among processes whoever has the lease in Redis does; the others look
into Redis now and then. A leader that dies loses the lease by itself, and whoever looks next takes it.
"""

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TTLCache
from pydantic import BaseModel

from connectors import metrics
from connectors.cache.entry import Entry, Key
from connectors.cache.flight import Flights
from connectors.cache.guard import AwayError
from connectors.cache.tiers import L2, Found, Tiers
from connectors.clock import Clock
from schemas.errors import TidegateError

V = TypeVar("V", bound=BaseModel)

# A lease lasts so long, and is renewed so often: a dead leader is replaced after the first, at the latest.
LEASE_S, RENEW_S = 6.0, 2.0
# How long followers wait before they look again: at first, and at the most.
SOON_S, LATER_S = 0.01, 0.25
# What is stale is asked about anew at most so often, and so many of those are remembered.
REFRESH_EVERY_S, REFRESHED = 60.0, 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made(Generic[V]):
    """What asking came to: an answer, or why there is none. What is not for others (`keep`) only those get who wait."""

    value: V | None = None
    refused: str | None = None
    keep: bool = True


@dataclass(frozen=True, slots=True)
class Outcome(Generic[V]):
    """What the cache gives: an answer or a refusal, from a level; None: it was asked for just now."""

    value: V | None
    refused: str | None
    level: str | None
    # Whether the caller's own `ask` was what gave it.
    own: bool = False


Ask = Callable[[], Awaitable[Made[V]]]


class Cache(Generic[V]):
    """Answers by key; for one event loop."""

    def __init__(self, tiers: Tiers[V], clock: Clock) -> None:
        """Nothing is looked up yet."""
        self.tiers = tiers
        self._flights: Flights[Outcome[V]] = Flights()
        self._behind: set[asyncio.Task[object]] = set()
        self._refreshed: TTLCache[Key, bool] = TTLCache(REFRESHED, REFRESH_EVERY_S, timer=clock.monotonic)

    async def get(self, key: Key, ask: Ask[V]) -> Outcome[V]:
        """Give what is kept under a key; else what `ask` gives, which is called once for all who want it now.

        Who gets a stale answer gets it at once, and `ask` is called in the background.

        Raises:
            Exception: whatever `ask` raises.

        """
        found = self.tiers.at_hand(key)
        if found is not None:
            return self._given(found, key, ask)
        outcome, first = await self._flights.join(key.digest, lambda: self._far(key, ask))
        if first:
            return outcome
        metrics.CACHE_FLIGHTS.labels("joined").inc()
        return Outcome(outcome.value, outcome.refused, outcome.level)

    async def close(self) -> None:
        """End what goes on in the background."""
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)

    def _given(self, found: Found[V], key: Key, ask: Ask[V]) -> Outcome[V]:
        if found.stale and key not in self._refreshed:
            self._refreshed[key] = True
            task: asyncio.Task[object] = asyncio.get_running_loop().create_task(self._refresh(key, ask))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)
        return Outcome(found.entry.value, found.entry.refused, found.level)

    async def _far(self, key: Key, ask: Ask[V]) -> Outcome[V]:
        """Look further than memory, and ask if nothing is there."""
        token, followed = uuid.uuid4().hex, False
        pause = SOON_S
        while True:
            claimed = await self._claim(key, token)
            if isinstance(claimed, Found):
                return self._given(claimed, key, ask)
            async with self._leading(key, token, claimed):
                found = None if followed else await self.tiers.on_disk(key)
                if found is not None:
                    await self.tiers.promote(found.entry, token=token if claimed else None)
                    return self._given(found, key, ask)
                if claimed is not False:
                    metrics.CACHE_FLIGHTS.labels(_how(claimed, followed=followed)).inc()
                    return await self._ask(key, ask, token if claimed else None)
            followed = True
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311  # spreads those who wait
            pause = min(LATER_S, pause * 2)

    async def _claim(self, key: Key, token: str) -> Found[V] | bool | None:
        """Give what Redis has, else whether we lead; None: there is no Redis to say."""
        l2 = self.tiers.outer.l2
        if l2 is None:
            return None
        while True:
            try:
                claimed = await l2.do(lambda level: level.claim(key.digest, token, ttl_s=LEASE_S))
            except AwayError as error:
                metrics.CACHE_LOOKUPS.labels(L2, error.outcome).inc()
                return None
            if isinstance(claimed, bool):
                metrics.CACHE_LOOKUPS.labels(L2, "miss").inc()
                return claimed
            found = await self.tiers.read(l2, key, claimed)
            if found is not None:
                return found

    async def _ask(self, key: Key, ask: Ask[V], token: str | None) -> Outcome[V]:
        made = await ask()
        if made.keep:
            await self.tiers.keep(self._entry(key, made), token=token)
        return Outcome(made.value, made.refused, None, own=True)

    def _entry(self, key: Key, made: Made[V]) -> Entry[V]:
        return self.tiers.entry(key, value=made.value, refused=made.refused)

    async def _refresh(self, key: Key, ask: Ask[V]) -> None:
        token, l2 = uuid.uuid4().hex, self.tiers.outer.l2
        leads: bool | None = None
        if l2 is not None:
            with contextlib.suppress(AwayError):
                leads = await l2.do(lambda level: level.lead(key.digest, token, ttl_s=LEASE_S))
        if leads is False:
            return  # another process is at it
        try:
            async with self._leading(key, token, leads):
                await self._ask(key, ask, token if leads else None)
        except TidegateError as error:
            log.info("a stale answer stays a while: %s", error)

    @contextlib.asynccontextmanager
    async def _leading(self, key: Key, token: str, leads: bool | None) -> AsyncIterator[None]:  # noqa: FBT001  # as claimed
        """Renew the lease as long as this lasts, then give it back."""
        l2 = self.tiers.outer.l2
        if not leads or l2 is None:
            yield
            return

        async def renew() -> None:
            while True:
                await asyncio.sleep(RENEW_S)
                with contextlib.suppress(AwayError):
                    await l2.do(lambda level: level.lead(key.digest, token, ttl_s=LEASE_S))

        renewing = asyncio.get_running_loop().create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(AwayError):
                await l2.do(lambda level: level.release(key.digest, token))


def _how(claimed: bool | None, *, followed: bool) -> str:  # noqa: FBT001  # as claimed
    if claimed is None:
        return "alone"
    return "elected" if followed else "asked"
