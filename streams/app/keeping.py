"""The cache in front of the models, put together."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from connectors.cache.cache import Cache
from connectors.cache.disk import Disk
from connectors.cache.entry import Codec
from connectors.cache.guard import Guarded
from connectors.cache.level import Level, Shared
from connectors.cache.memory import Memory
from connectors.cache.settings import MIB
from connectors.cache.tiers import L2, L3, Outer, Tiers, Times
from connectors.clock import SystemClock
from connectors.redis.answers import Answers
from streams.prompts.kept import Kept
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Caches:
    """A cache, and what it is connected to."""

    cache: Cache[Kept]
    closes: Sequence[Callable[[], Awaitable[None]]]

    async def close(self) -> None:
        """End what goes on, and all connections."""
        for close in self.closes:
            await close()


def build(settings: Settings) -> Caches | None:
    """Put the cache together, unless there is to be none; nothing is connected yet.

    Raises:
        UnreachableError: the address of Redis cannot be read.

    """
    wanted, clock = settings.cache, SystemClock()
    if not wanted.enabled:
        return None
    closes: list[Callable[[], Awaitable[None]]] = []
    l2: Guarded[Shared] | None = None
    l3: Guarded[Level] | None = None
    if settings.redis.url.get_secret_value():
        answers = Answers(settings.redis)
        l2 = Guarded(L2, answers, clock)
        closes.append(answers.close)
    if wanted.disk_mib:
        folder = wanted.dir or settings.data_dir / "cache"
        disk = Disk(folder, most_bytes=wanted.disk_mib * MIB, shared=wanted.dir_shared)
        l3 = Guarded(L3, disk, clock)
        closes.append(disk.close)
    memory: Memory[Kept] = Memory(most_bytes=wanted.memory_mib * MIB, most_entries=wanted.memory_entries)
    times = Times(fresh_s=wanted.fresh_s, stale_s=wanted.stale_s, refused_s=wanted.refused_s)
    cache = Cache(Tiers(Codec(Kept), memory, Outer(l2, l3), clock, times), clock)
    return Caches(cache, [cache.close, *closes])
