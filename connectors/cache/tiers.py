"""The levels in their order: memory (L1), Redis (L2), disk (L3).

What is found goes up to the levels before it, and what is new is written through to all. Expiry is absolute: a hit
never extends it. Nothing that a level holds is believed: it is checked when it is read, and removed if it is no answer.
"""

import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from connectors import metrics
from connectors.cache.entry import Codec, CorruptEntryError, Entry, Key, TooLargeError
from connectors.cache.guard import AwayError, Guarded
from connectors.cache.level import Level, Shared
from connectors.cache.memory import Memory
from connectors.cache.orders import Orders
from connectors.clock import Clock

V = TypeVar("V", bound=BaseModel)

L1, L2, L3 = "l1", "l2", "l3"


@dataclass(frozen=True, slots=True)
class Times:
    """How long answers live, in seconds: so long fresh, then so long stale; and refusals."""

    fresh_s: float
    stale_s: float
    refused_s: float
    # What is written at the same time does not expire at the same time: up to this part of a life is taken off.
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Found(Generic[V]):
    """An entry, and the level that had it."""

    entry: Entry[V]
    level: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Outer:
    """The levels outside this process; either may be missing."""

    l2: Guarded[Shared] | None = None
    l3: Guarded[Level] | None = None


class Tiers(Generic[V]):
    """Reads and writes all levels; for one event loop. No error of a level reaches the caller."""

    def __init__(self, codec: Codec[V], memory: Memory[V], outer: Outer, clock: Clock, times: Times) -> None:
        """Nothing is read yet."""
        self.outer = outer
        self.orders: Orders[V] = Orders()
        self.memory = memory
        self._codec = codec
        self._clock = clock
        self._times = times
        self._random = random.Random()  # noqa: S311  # spreads expiry, no more

    def entry(self, key: Key, *, value: V | None = None, refused: str | None = None) -> Entry[V]:
        """Make an entry of what was answered just now, or of a refusal."""
        now = self._now()
        life = 1.0 - self._times.jitter * self._random.random()
        fresh_s = self._times.fresh_s if refused is None else self._times.refused_s
        fresh = now + life * fresh_s
        expires = fresh + (life * self._times.stale_s if refused is None else 0.0)
        reason = None if refused is None else refused[:200]
        return Entry(
            tenant=key.tenant,
            digest=key.digest,
            value=value,
            refused=reason,
            made=now,
            fresh_until=fresh,
            expires=expires,
        )

    def at_hand(self, key: Key) -> Found[V] | None:
        """Look into memory, and into what people have corrected."""
        corrected = self.orders.corrected(key)
        entry = self.memory.get(key, self._now()) if corrected is None else self.entry(key, value=corrected)
        if entry is not None and not self.orders.allow(entry) and corrected is None:
            self.memory.remove(key)
            entry = None
        return self._found(entry, L1)

    async def on_disk(self, key: Key) -> Found[V] | None:
        """Look at the disk."""
        if self.outer.l3 is None:
            return None
        try:
            data = await self.outer.l3.do(lambda level: level.get(key.digest))
        except AwayError as error:
            metrics.CACHE_LOOKUPS.labels(L3, error.outcome).inc()
            return None
        return await self.read(self.outer.l3, key, data)

    async def in_redis(self, key: Key) -> Found[V] | None:
        """Look into Redis, and ask for nothing more."""
        if self.outer.l2 is None:
            return None
        try:
            data = await self.outer.l2.do(lambda level: level.get(key.digest))
        except AwayError as error:
            metrics.CACHE_LOOKUPS.labels(L2, error.outcome).inc()
            return None
        return await self.read(self.outer.l2, key, data)

    async def look(self, key: Key) -> Found[V] | None:
        """Look into all levels."""
        found = self.at_hand(key) or await self.in_redis(key)
        if found is not None:
            return found
        found = await self.on_disk(key)
        if found is not None:
            await self.promote(found.entry)
        return found

    async def read(self, level: Guarded[Shared] | Guarded[Level], key: Key, data: bytes | None) -> Found[V] | None:
        """Read what a level had; what is no answer, or does not count any more, is removed there."""
        if data is None:
            return self._found(None, level.name)
        try:
            entry = self._codec.decode(data, key)
        except CorruptEntryError:
            metrics.CACHE_LOOKUPS.labels(level.name, "corrupt").inc()
            await self._remove(level, key)
            return None
        if entry.expires <= self._now() or not self.orders.allow(entry):
            await self._remove(level, key)
            return self._found(None, level.name)
        self.memory.put(entry, len(data))
        return self._found(entry, level.name)

    async def keep(self, entry: Entry[V], *, token: str | None = None) -> None:
        """Write an entry through to all levels; to Redis as the leader with this token, if there is one."""
        data = self._encoded(entry)
        if data is None:
            return
        self.memory.put(entry, len(data))
        ttl_s = entry.expires - self._now()
        if ttl_s <= 0:
            return
        digest, l2, l3 = entry.digest, self.outer.l2, self.outer.l3
        if l2 is not None:
            await _written(L2, lambda: l2.do(lambda level: _put_as(level, digest, data, ttl_s, token)))
        if l3 is not None and entry.refused is None:
            await _written(L3, lambda: l3.do(lambda level: _put(level, digest, data, ttl_s)))

    async def promote(self, entry: Entry[V], *, token: str | None = None) -> None:
        """Write an entry that the disk had to Redis."""
        data, ttl_s, l2 = self._encoded(entry), entry.expires - self._now(), self.outer.l2
        if l2 is not None and data is not None and ttl_s > 0:
            await _written(L2, lambda: l2.do(lambda level: _put_as(level, entry.digest, data, ttl_s, token)))

    async def remove(self, key: Key) -> None:
        """Forget an answer in all levels."""
        self.memory.remove(key)
        for level in (self.outer.l2, self.outer.l3):
            if level is not None:
                await self._remove(level, key)

    def _encoded(self, entry: Entry[V]) -> bytes | None:
        try:
            return self._codec.encode(entry)
        except TooLargeError:
            metrics.CACHE_WRITES.labels(L1, "too_large").inc()
            return None

    def _found(self, entry: Entry[V] | None, level: str) -> Found[V] | None:
        if entry is None:
            metrics.CACHE_LOOKUPS.labels(level, "miss").inc()
            return None
        stale = entry.fresh_until <= self._now()
        outcome = "refused" if entry.refused is not None else "stale" if stale else "hit"
        metrics.CACHE_LOOKUPS.labels(level, outcome).inc()
        return Found(entry, level, stale)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    @staticmethod
    async def _remove(level: Guarded[Shared] | Guarded[Level], key: Key) -> None:
        with contextlib.suppress(AwayError):  # what stays is not believed the next time either
            await level.do(lambda one: one.remove(key.digest))


async def _written(level: str, write: Callable[[], Awaitable[bool]]) -> None:
    try:
        outcome = "kept" if await write() else "outrun"
    except AwayError as error:
        outcome = error.outcome
    metrics.CACHE_WRITES.labels(level, outcome).inc()


async def _put(level: Level, digest: str, data: bytes, ttl_s: float) -> bool:
    await level.put(digest, data, ttl_s=ttl_s)
    return True


async def _put_as(level: Shared, digest: str, data: bytes, ttl_s: float, token: str | None) -> bool:
    if token is not None:
        return await level.put_led(digest, token, data, ttl_s=ttl_s)
    return await _put(level, digest, data, ttl_s)
