"""A simulated week of a steady fleet through the cache of two workers: what is asked, and what each level answers."""

import shutil
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import SecretStr

from connectors.cache.cache import Cache, Made
from connectors.cache.disk import Disk
from connectors.cache.entry import Codec, Key
from connectors.cache.guard import Guarded
from connectors.cache.level import Level, Shared
from connectors.cache.memory import Memory
from connectors.cache.settings import CacheSettings
from connectors.cache.tiers import L2, L3, Outer, Tiers, Times
from connectors.embedded import ports
from connectors.redis.answers import Answers
from connectors.redis.settings import RedisSettings
from schemas.models import AnalysisRequest
from scripts.benches.levels import VALUE
from scripts.benches.week import START
from streams.prompts.facts import Facts
from streams.prompts.kept import Kept, digest
from streams.prompts.prompt import fingerprint

WORKERS: Final = 2
ASKED: Final = "asked"
CALLS: Final = "calls"
# As workers keep answers by default.
DEFAULT: Final = CacheSettings()
TIMES: Final = Times(fresh_s=DEFAULT.fresh_s, stale_s=DEFAULT.stale_s, refused_s=DEFAULT.refused_s)


class Simulated:
    """A clock that is set."""

    def __init__(self) -> None:
        """Begin with the week."""
        self._now = START

    def now(self) -> datetime:
        """Give the wall clock, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Give seconds."""
        return (self._now - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()

    def set(self, now: datetime) -> None:
        """Move on."""
        self._now = max(self._now, now)


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong in the week, on which days (the first is 0)."""

    name: str
    redis_away: frozenset[int] = frozenset()
    # At the beginning of these days workers start anew; and everything that was kept is lost.
    restarts: frozenset[int] = frozenset()
    losses: frozenset[int] = frozenset()


CASES: Final = (
    Case("all is well"),
    Case("Redis is away on days 3 and 4", redis_away=frozenset({2, 3})),
    Case("workers start anew every day", restarts=frozenset(range(1, 7))),
    Case("all that was kept is lost on day 4", losses=frozenset({3})),
)


def keys(requests: Sequence[AnalysisRequest]) -> list[Key]:
    """Give the keys of the requests."""
    return [Key("bench", digest("bench", fingerprint(Facts.of(one)), ["a-model"])) for one in requests]


class _Week:
    """Two workers: each has a memory of its own, and all share Redis and a folder."""

    def __init__(self, clock: Simulated, folder: Path) -> None:
        self._clock = clock
        self._folder = folder
        self._disk = Disk(folder / "l3", most_bytes=2**28)
        self._answers: Answers | None = None
        self._caches: list[Cache[Kept]] = []
        # Of models, for those who wait and in the background.
        self.calls = 0

    async def start(self, redis: RedisSettings, *, with_memory: bool) -> None:
        """Let workers begin, or go on with what is in their memory and another Redis."""
        memories = [one.tiers.memory for one in self._caches] if with_memory else []
        await self.stop()
        self._answers = Answers(redis)
        l2: Guarded[Shared] = Guarded(L2, self._answers, self._clock)
        l3: Guarded[Level] = Guarded(L3, self._disk, self._clock)
        for number in range(WORKERS):
            memory: Memory[Kept] = memories[number] if memories else Memory(most_bytes=2**26, most_entries=20_000)
            tiers = Tiers(Codec(Kept), memory, Outer(l2, l3), self._clock, TIMES)
            self._caches.append(Cache(tiers, self._clock))

    async def stop(self) -> None:
        """Let workers end."""
        for cache in self._caches:
            await cache.close()
        self._caches = []
        if self._answers is not None:
            await self._answers.close()

    async def lose(self, redis: RedisSettings, asked: Iterable[Key]) -> None:
        """Lose all that is kept outside of memories."""
        await self._disk.close()
        shutil.rmtree(self._folder / "l3", ignore_errors=True)
        self._disk = Disk(self._folder / "l3", most_bytes=2**28)
        answers = Answers(redis)
        for key in set(asked):
            await answers.remove(key.digest)
        await answers.close()

    async def get(self, worker: int, key: Key) -> str:
        """Ask, and say who answered."""

        async def ask() -> Made[Kept]:
            self.calls += 1
            return Made(VALUE)

        outcome = await self._caches[worker].get(key, ask)
        return outcome.level or ASKED


async def simulate(
    case: Case, requests: Sequence[AnalysisRequest], asked: Sequence[Key], redis: RedisSettings
) -> Counter[str]:
    """Let workers take the requests, each those of its devices; count who answered."""
    clock = Simulated()
    away = RedisSettings(url=SecretStr(f"redis://127.0.0.1:{ports.free()}/0"))
    sources: Counter[str] = Counter()
    with TemporaryDirectory() as folder:
        week = _Week(clock, Path(folder))
        day = -1
        for request, key in zip(requests, asked, strict=True):
            clock.set(request.accepted)
            today = (request.accepted - START) // timedelta(days=1)
            if today != day:
                day = today
                if day in case.losses:
                    await week.lose(redis, asked)
                begins = day in case.restarts | case.losses
                await week.start(away if day in case.redis_away else redis, with_memory=not begins)
            worker = zlib.crc32(request.device_id.encode()) % WORKERS
            sources[await week.get(worker, key)] += 1
        await week.lose(redis, asked)
        await week.stop()
        sources[CALLS] = week.calls
    return sources
