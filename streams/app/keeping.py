"""The cache in front of the models, put together."""

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connectors.cache.cache import Cache
from connectors.cache.disk import Disk
from connectors.cache.entry import Codec
from connectors.cache.guard import Guarded
from connectors.cache.level import Level, Shared
from connectors.cache.memory import Memory
from connectors.cache.semantic.embed import Embedder
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.offline import OfflineEmbedder
from connectors.cache.semantic.store import Store
from connectors.cache.semantic.tier import SEMANTIC, Semantic
from connectors.cache.settings import MIB, CacheSettings
from connectors.cache.tiers import L2, L3, Outer, Tiers, Times
from connectors.clock import SystemClock
from connectors.errors import ConnectorError
from connectors.llm.embeddings import Embeddings
from connectors.redis.answers import Answers
from connectors.timescale.orders import CacheOrders
from connectors.timescale.questions import Questions
from streams.agents.hearing import Hearing
from streams.agents.judge import Judge
from streams.agents.meaning import Meaning
from streams.agents.upkeep import Upkeep
from streams.prompts.kept import Kept
from streams.settings import Settings

HEAR_EVERY_S, EXCHANGE_EVERY_S, FORGET_EVERY_S = 2.0, 5.0, 3600.0


@dataclass(frozen=True, slots=True)
class Caches:
    """A cache, and what it is connected to."""

    cache: Cache[Kept]
    meaning: Meaning | None
    questions: Questions
    orders: CacheOrders
    hearing: Hearing
    disk: Disk | None
    answers: Answers | None
    closes: Sequence[Callable[[], Awaitable[None]]]

    @property
    def upkeep(self) -> Sequence[Upkeep]:
        """What has to be done beside the work."""
        upkeep = [Upkeep("reading what was said of kept answers", self.hearing.listen, every_s=HEAR_EVERY_S)]
        if self.meaning is not None:
            verdicts = self.meaning.semantic.judging
            upkeep += [
                Upkeep("telling what was seen of questions", verdicts.exchange, every_s=EXCHANGE_EVERY_S),
                Upkeep("forgetting old questions", self.questions.forget, every_s=FORGET_EVERY_S),
            ]
        return upkeep

    async def sizes(self) -> dict[str, object]:
        """Say how much the outer levels hold, as far as they can be asked."""
        told: dict[str, object] = {"questions": await self.questions.count()}
        for name, level in (("l2", self.answers), ("l3", self.disk)):
            if level is None:
                told[f"{name} entries"] = "there is none"
                continue
            try:
                told[f"{name} entries"], told[f"{name} bytes"] = await level.size()
            except ConnectorError as error:
                told[f"{name} entries"] = str(error)
        return told

    async def close(self) -> None:
        """End what goes on, and all connections."""
        for close in self.closes:
            await close()


def build(settings: Settings, judge: Judge) -> Caches | None:
    """Put the cache together, unless there is to be none; nothing is connected yet.

    Raises:
        UnreachableError: the address of Redis cannot be read.

    """
    return assemble(settings, judge) if settings.cache.enabled else None


def assemble(settings: Settings, judge: Judge | None = None) -> Caches:
    """Put the cache together, whether workers use it or not. Without a judge it does not compare questions."""
    wanted, clock = settings.cache, SystemClock()
    answers, disk = None, None
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
    questions = Questions(settings.database)
    meaning = None
    if wanted.semantic and judge is not None:
        verdicts, tiers = judging(settings, questions, worker=f"{socket.gethostname()}:{os.getpid()}"), cache.tiers
        embedder: Embedder = OfflineEmbedder()
        if settings.llm.embeddings is not None:
            remote = Embeddings(settings.llm.embeddings, settings.llm.embedding_dimensions, settings.llm.timeout_s)
            embedder = remote
            closes.append(remote.close)
        store: Guarded[Store] = Guarded(SEMANTIC, questions, clock)
        meaning = Meaning(Semantic(Codec(Kept), store, embedder, tiers.orders, verdicts), tiers, judge)
        closes.insert(0, meaning.close)
    orders = CacheOrders(settings.database)
    hearing = Hearing(orders, cache.tiers.orders, kept=lifetime(wanted))
    closes = [cache.close, *closes, orders.close, questions.close]
    return Caches(cache, meaning, questions, orders, hearing, disk, answers, closes)


def judging(settings: Settings, questions: Questions, *, worker: str) -> Judging:
    """Put together what learns from verdicts; it was told none yet."""
    return Judging(Guarded(SEMANTIC, questions, SystemClock()), worker=worker, delta=settings.cache.semantic_wrong)


def lifetime(settings: CacheSettings) -> timedelta:
    """Say for how long an answer is kept at the most."""
    return timedelta(seconds=max(settings.fresh_s + settings.stale_s, settings.refused_s))
