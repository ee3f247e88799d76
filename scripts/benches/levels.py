"""What a lookup takes in each level of the cache, with the real servers."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from connectors.cache.disk import Disk
from connectors.cache.entry import Codec, Key
from connectors.cache.guard import Guarded
from connectors.cache.level import Level, Shared
from connectors.cache.memory import Memory
from connectors.cache.tiers import L2, L3, Outer, Tiers, Times
from connectors.clock import SystemClock
from connectors.redis.answers import Answers
from schemas.fields import Severity
from schemas.models import AnalysisRequest, Sample
from scripts.benches.measure import MeasureError
from streams.prompts.answer import Answer
from streams.prompts.kept import Kept
from streams.settings import Settings

ENTRIES, LOOKUPS, WARM_UP = 2_000, 4_000, 200
TIMES: Final = Times(fresh_s=3600.0, stale_s=3600.0, refused_s=60.0)
VALUE: Final = Kept(
    answer=Answer(
        summary="{metric} of {device} went up from {baseline} to {value} within minutes and stays there. " * 2,
        probable_causes=("A change of load at a time when none was planned.", "A sensor that has come loose.") * 2,
        recommended_actions=("Look for what was changed at {device} around {from}.", "Check the wiring.") * 2,
        severity=Severity.WARNING,
        confidence=0.7,
    ),
    model="a-model",
    prompt_tokens=900,
    completion_tokens=250,
    cost_usd=0.0003,
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What lookups took, in milliseconds."""

    p50: float
    p99: float


def alarm(metric: str, device: str = "bench-1") -> AnalysisRequest:
    """Give a request about a window, the same but for these."""
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, 0, 1, tzinfo=UTC)
    asked = AnalysisRequest.of_table(
        request_id="6f1c7d3e-5a53-5c0b-9a0e-7469646567a7",
        region="",
        device_id=device,
        metric=metric,
        kind="level",
        window=(start, end),
    )
    samples = (Sample(ts=start, value=5.0), Sample(ts=end, value=9.0))
    shown = {"topic": "readings", "samples": samples, "value": 9.0, "baseline": 5.0, "spread": 1.0}
    return asked.model_copy(update=shown)


async def measure(settings: Settings, folder: Path) -> dict[str, Taken]:
    """Fill all levels, and look into each, one lookup after the other."""
    clock = SystemClock()
    answers, disk = Answers(settings.redis), Disk(folder, most_bytes=2**28)
    l2: Guarded[Shared] = Guarded(L2, answers, clock)
    l3: Guarded[Level] = Guarded(L3, disk, clock)
    memory: Memory[Kept] = Memory(most_bytes=2**26, most_entries=ENTRIES)
    tiers = Tiers(Codec(Kept), memory, Outer(l2, l3), clock, TIMES)
    keys = [Key("bench", f"{number:064x}") for number in range(ENTRIES)]
    try:
        for key in keys:
            await tiers.keep(tiers.entry(key, value=VALUE))

        async def at_hand(key: Key) -> object:
            return tiers.at_hand(key)

        return {
            "L1": await _taken(at_hand, keys),
            "L2": await _taken(tiers.in_redis, keys),
            "L3": await _taken(tiers.on_disk, keys),
        }
    finally:
        for key in keys:
            await answers.remove(key.digest)
        await answers.close()
        await disk.close()


async def _taken(look: Callable[[Key], Awaitable[object]], keys: Sequence[Key]) -> Taken:
    times = []
    for number in range(WARM_UP + LOOKUPS):
        began = time.perf_counter()
        found = await look(keys[number * 7919 % len(keys)])
        times.append((time.perf_counter() - began) * 1e3)
        if found is None:
            raise MeasureError("a level has lost an entry")
    return taken(times[WARM_UP:])


def taken(times_ms: Sequence[float]) -> Taken:
    """Give the quantiles of times."""
    return Taken(statistics.median(times_ms), statistics.quantiles(times_ms, n=100)[98])
