"""The semantic tier on pairs of questions: what it serves of those that mean the same, and of those that do not."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from connectors.cache.semantic.slots import parse

from connectors.cache.entry import Codec, Entry, Key
from connectors.cache.guard import Guarded
from connectors.cache.orders import Orders
from connectors.cache.semantic.bound import Row, Threshold
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.offline import OfflineEmbedder
from connectors.cache.semantic.store import Store
from connectors.cache.semantic.thresholds import Thresholds, prior
from connectors.cache.semantic.tier import SEMANTIC, Semantic
from connectors.clock import SystemClock
from connectors.timescale.questions import Questions
from scripts.benches.levels import VALUE, Taken, taken
from scripts.benches.measure import MeasureError
from scripts.benches.pairs import Pair
from streams.prompts.kept import Kept
from streams.settings import Settings

DELTA: Final = 0.005
QUESTIONS, LOOKUPS = 4_000, 2_000


@dataclass(slots=True)
class Served:
    """What was served of pairs; `hits` and what is `wrong` of it as expected, where a model is asked by chance."""

    same: int = 0
    hits: float = 0.0
    different: int = 0
    wrong: float = 0.0
    # As if nobody was asked by chance.
    alike: int = 0
    examples: list[Pair] = field(default_factory=list)
    families: Counter[str] = field(default_factory=Counter)


def serve(pairs: Sequence[Pair], thresholds: Thresholds) -> Served:
    """Ask b where a was answered, for each pair by itself."""
    served = Served()
    similar = similarities(pairs)
    for pair, similarity in zip(pairs, similar, strict=True):
        share = 0.0
        if similarity is not None:
            share = 1.0 - thresholds.explore_probability(parse(pair.b).skeleton, similarity, DELTA)
        if pair.same:
            served.same += 1
            served.alike += similarity is not None
            served.hits += share
        else:
            served.different += 1
            served.wrong += share
            if share:
                served.examples.append(pair)
                served.families[pair.family] += 1
    return served


def similarities(pairs: Sequence[Pair]) -> list[float | None]:
    """Give how similar the skeletons are; None where the slots differ, which is no hit whatever the skeletons are."""
    embedder = OfflineEmbedder()
    found: list[float | None] = []
    for pair in pairs:
        one, other = parse(pair.a), parse(pair.b)
        if one.slots != other.slots:
            found.append(None)
        elif one.skeleton == other.skeleton:
            found.append(1.0)
        else:
            first, second = embedder.embed_now([one.skeleton, other.skeleton])
            found.append(float(np.clip(first @ second, 0.0, 1.0)))
    return found


def learn(pairs: Sequence[Pair]) -> list[Row]:
    """Learn from pairs how similar is similar enough."""
    threshold = Threshold()
    for pair, similarity in zip(pairs, similarities(pairs), strict=True):
        if similarity is not None:
            threshold.seen(similarity, correct=pair.same)
    return threshold.rows()


async def latencies(settings: Settings, pairs: Sequence[Pair]) -> dict[str, Taken]:
    """Keep the answers to many questions, and look for others: all of it, from the words to the answer."""
    clock, questions = SystemClock(), Questions(settings.database)
    store: Guarded[Store] = Guarded(SEMANTIC, questions, clock)
    try:
        writing, reading = (
            Semantic(Codec(Kept), store, OfflineEmbedder(), Orders[Kept](), Judging(store, worker=worker, rows=prior()))
            for worker in ("writing", "reading")
        )
        used = [pair for pair in pairs if pair.same][:QUESTIONS]
        for pair in used:
            asked = await writing.read(_key(), pair.a, ())
            if asked is None:
                raise MeasureError("there are no vectors")
            now = clock.now().timestamp()
            entry = Entry[Kept](
                tenant=asked.key.tenant,
                digest=asked.key.digest,
                value=VALUE,
                made=now,
                fresh_until=now + 3600,
                expires=now + 3600,
            )
            await writing.keep(asked, entry)
        cold: list[float] = []
        hot: list[float] = []
        for times in (cold, hot):
            for pair in used[:LOOKUPS]:
                began = time.perf_counter()
                asked = await reading.read(_key(), pair.b, ())
                if asked is not None:
                    await reading.find(asked)
                times.append((time.perf_counter() - began) * 1e3)
        return {"semantic, in the database": taken(cold), "semantic, in memory": taken(hot)}
    finally:
        await questions.close()


def _key() -> Key:
    return Key("bench", uuid.uuid4().hex * 2)


def measure_latencies(settings: Settings, pairs: Sequence[Pair]) -> dict[str, Taken]:
    """Do what `latencies` does, from outside of an event loop."""
    return asyncio.run(latencies(settings, pairs))
