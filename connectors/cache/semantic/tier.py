"""Answers to questions that mean the same: what they are about is equal, and what they say of it means the same.

What has to be equal is the gate: a digest of the tenant, the models, the window's facts and the question's values. It
is looked up exactly. Of the questions behind it the one whose form is the most probable to mean the same may be served,
if what was learnt (`equivalence`) and the audit allow it. Of forms that nobody compared yet the most similar one is
taken, by their vectors: what is learnt first is what is likely to be of use.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np
from cachetools import TTLCache
from numpy.typing import NDArray
from pydantic import BaseModel

from connectors import metrics
from connectors.cache.entry import Codec, CorruptEntryError, Entry, Key, TooLargeError
from connectors.cache.guard import AwayError, Guarded
from connectors.cache.orders import Orders
from connectors.cache.semantic.embed import Embedder
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.slots import VERSION, parse
from connectors.cache.semantic.store import Store
from connectors.clock import Clock
from connectors.questions import Question

V = TypeVar("V", bound=BaseModel)

SEMANTIC: Final = "semantic"
# Questions behind one gate that are compared: the newest.
MOST_ALIKE: Final = 32
# A model of embeddings is loaded when it is first needed.
LOADED_WITHIN_S: Final = 5.0
# Gates whose questions are kept in memory, and for how long: another worker may have learnt a new one.
HOT, HOT_S = 10_000, 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, read: the key of its own answer, and what it is compared by."""

    key: Key
    text: str
    gate: str
    form: str
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Near(Generic[V]):
    """The question that most probably means the same, and what is to be done with its answer."""

    entry: Entry[V]
    text: str
    form: str
    similarity: float
    serves: bool
    # A model is to be asked all the same, and the answers compared: of what is served, in the background.
    checks: bool


class Semantic(Generic[V]):
    """Finds and keeps answers to questions; for one event loop. No error of what it needs reaches the caller."""

    def __init__(
        self, codec: Codec[V], store: Guarded[Store], embedder: Embedder, orders: Orders[V], judging: Judging
    ) -> None:
        """Nothing is read yet."""
        self.judging = judging
        self._codec = codec
        self._store = store
        self._embedder = Guarded("embedder", embedder, store.clock, within_s=LOADED_WITHIN_S)
        self._version = embedder.version
        self._orders = orders
        self._clock: Clock = store.clock
        self._hot: TTLCache[str, list[Question]] = TTLCache(HOT, HOT_S, timer=self._clock.monotonic)

    async def read(self, key: Key, text: str, around: Sequence[str]) -> Asked | None:
        """Read a question; `around` is what has to be equal beside its words. None: there are no vectors now."""
        parsed = parse(text)
        try:
            (vector,) = await self._embedder.do(lambda embedder: embedder.embed([parsed.form]))
        except AwayError as error:
            metrics.CACHE_LOOKUPS.labels(SEMANTIC, error.outcome).inc()
            return None
        parts = [key.tenant, *around, self._version, VERSION, parsed.key()]
        gate = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return Asked(key, text, gate, parsed.form, vector)

    async def find(self, asked: Asked) -> Near[V] | None:
        """Give the question that most probably means the same, if there is one with the same values."""
        alike = self._hot.get(asked.gate)
        if not alike:
            try:
                alike = await self._store.do(lambda store: store.alike(asked.gate, most=MOST_ALIKE))
            except AwayError as error:
                metrics.CACHE_LOOKUPS.labels(SEMANTIC, error.outcome).inc()
                return None
            self._hot[asked.gate] = alike
        best = self._nearest(asked, alike)
        if best is None:
            metrics.CACHE_LOOKUPS.labels(SEMANTIC, "miss").inc()
            return None
        question, entry = best
        serves, checks = self.judging.draw(asked.form, question.form)
        metrics.CACHE_LOOKUPS.labels(SEMANTIC, "hit" if serves else "explored").inc()
        return Near(entry, question.text, question.form, _similarity(asked, question), serves, checks)

    async def keep(self, asked: Asked, entry: Entry[V]) -> None:
        """Keep the answer to a question for others that mean the same."""
        try:
            data = self._codec.encode(entry)
        except TooLargeError:
            return
        question = Question(
            tenant=asked.key.tenant,
            gate=asked.gate,
            digest=asked.key.digest,
            text=asked.text,
            form=asked.form,
            embedder=self._version,
            vector=tuple(map(float, asked.vector)),
            data=data,
            made=entry.made,
            expires=entry.expires,
        )
        others = [one for one in self._hot.get(asked.gate, ()) if one.text != asked.text]
        self._hot[asked.gate] = [question, *others][:MOST_ALIKE]
        try:
            await self._store.do(lambda store: store.add(question))
        except AwayError as error:
            metrics.CACHE_WRITES.labels(SEMANTIC, error.outcome).inc()
        else:
            metrics.CACHE_WRITES.labels(SEMANTIC, "kept").inc()

    def _nearest(self, asked: Asked, alike: Sequence[Question]) -> tuple[Question, Entry[V]] | None:
        known = self.judging.known

        def rank(question: Question) -> tuple[float, float]:
            return known.right_at_least(asked.form, question.form), _similarity(asked, question)

        own = (one for one in alike if one.tenant == asked.key.tenant)
        for question in sorted(own, key=rank, reverse=True):
            entry = self._read(question)
            # What was purged of the question that is asked is not served from another one either.
            if entry is not None and self._orders.allow(entry.model_copy(update={"digest": asked.key.digest})):
                return question, entry
        return None

    def _read(self, question: Question) -> Entry[V] | None:
        key = Key(question.tenant, question.digest)
        try:
            entry = self._codec.decode(question.data, key)
        except CorruptEntryError:
            metrics.CACHE_LOOKUPS.labels(SEMANTIC, "corrupt").inc()
            return None
        corrected = self._orders.corrected(key)
        if corrected is not None:
            return entry.model_copy(update={"value": corrected})
        alive = entry.value is not None and entry.expires > self._clock.now().timestamp()
        return entry if alive and self._orders.allow(entry) else None


def _similarity(asked: Asked, question: Question) -> float:
    if question.form == asked.form:
        return 1.0
    other = np.asarray(question.vector, np.float32)
    if other.shape != asked.vector.shape or not np.isfinite(other).all():
        return 0.0
    return float(np.clip(asked.vector @ other, 0.0, 1.0))
