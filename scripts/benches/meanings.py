"""The semantic tier on pairs of questions: what it serves of those that mean the same, and of those that do not.

It begins with nothing but its words; which forms mean the same it learns from answers. So it is measured twice: as it
begins, and after a number of people's questions, of which a judge says what is true but for chance.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.cache.entry import Codec, Entry, Key
from connectors.cache.guard import Guarded
from connectors.cache.orders import Orders
from connectors.cache.semantic.equivalence import Equivalences
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.offline import OfflineEmbedder
from connectors.cache.semantic.slots import parse
from connectors.cache.semantic.store import Store
from connectors.cache.semantic.tier import SEMANTIC, Semantic
from connectors.clock import SystemClock
from connectors.timescale.questions import Questions
from scripts.benches.levels import VALUE, Taken, taken
from scripts.benches.measure import MeasureError
from scripts.benches.pairs import Pair, generate
from streams.prompts.kept import Kept
from streams.settings import Settings

DELTA: Final = 0.005
QUESTIONS, LOOKUPS = 4_000, 2_000
# Sets of pairs with other things, numbers and times, that are asked one after the other before the pairs that count.
ROUNDS: Final = 4
FIRST_SEED: Final = 100
# How often the judge errs.
NOISE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Served:
    """What is served of pairs that mean the same, and wrongly; as expected, where a model is asked by chance."""

    part: str
    same: int
    hits: float
    different: int
    wrong: float


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was seen while forms were learnt: questions with equal values, of which some were served, some wrongly.

    `asked`: a model was; `judged`: so often one was asked, too, whether a question is another one.
    """

    known: Equivalences
    asked: int
    judged: int
    served: int
    wrong: int


def serve(pairs: Sequence[Pair], known: Equivalences, part: str = "all") -> Served:
    """Ask b where a was answered, for each pair by itself."""
    hits = wrong = 0.0
    chosen = [pair for pair in pairs if part in {"all", pair.part}]
    for pair in chosen:
        one, other = parse(pair.a), parse(pair.b)
        if one.values == other.values:
            share = 1.0 - known.explore_probability(one.form, other.form, DELTA)
            hits, wrong = (hits + share, wrong) if pair.same else (hits, wrong + share)
    same = sum(pair.same for pair in chosen)
    return Served(part, same, hits, len(chosen) - same, wrong)


def learn(rounds: int = ROUNDS) -> Learnt:
    """Let people ask: what is not served is answered by a model, and judged as long as that teaches anything."""
    known, chance = Equivalences(), random.Random(1)  # noqa: S311  # draws cases
    asked = judged = served = wrong = 0
    for seed in range(FIRST_SEED, FIRST_SEED + rounds):
        pairs = generate(seed)
        chance.shuffle(pairs)
        for pair in pairs:
            one, other = parse(pair.a), parse(pair.b)
            if one.values != other.values:
                continue
            if chance.random() >= known.explore_probability(one.form, other.form, DELTA):
                served += 1
                wrong += not pair.same
                continue
            asked += 1
            if known.is_open(one.form, other.form):
                judged += 1
                known.seen(one.form, other.form, correct=pair.same != (chance.random() < NOISE))
    return Learnt(known, asked, judged, served, wrong)


async def latencies(settings: Settings, pairs: Sequence[Pair]) -> dict[str, Taken]:
    """Keep the answers to many questions, and look for others: all of it, from the words to the answer."""
    clock, questions = SystemClock(), Questions(settings.database)
    store: Guarded[Store] = Guarded(SEMANTIC, questions, clock)
    try:
        writing, reading = (
            Semantic(Codec(Kept), store, OfflineEmbedder(), Orders[Kept](), Judging(store, worker=worker))
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
