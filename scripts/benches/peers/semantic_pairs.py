"""Pairs of questions through the semantic caches of others: what plain cosine, redisvl and GPTCache answer.

Each pair meets an empty cache: a's answer is stored, b is asked for, at each threshold in turn. All have the same
embedder, and thresholds are cosines for all of them. Each line that is printed is a JSON object: a system at a
threshold, or why it was not run. `BENCH_PAIRS` names the file, `BENCH_THRESHOLDS` and `BENCH_SYSTEMS` say what is
measured; the default of a system is always.
"""

import atexit
import contextlib
import importlib
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import redis
from numpy.typing import NDArray

from scripts.benches.pairs import Pair, read
from scripts.benches.peers.search_server import searching

DIMENSIONS = 256
ANSWER = "The answer."
WORST = 10
SHOWN = 300
# What is no part of the measuring: how often everything is done before the first pair counts.
WARM_UP = 50

Vector = NDArray[np.float32]
Embed = Callable[[str], Vector]


class System(Protocol):
    """A cache of answers that is asked by meaning."""

    # The cosine from which it hits when nobody says otherwise; None: it must be said.
    default: float | None

    def store(self, question: str) -> None:
        """Keep an answer to a question."""

    def finds(self, question: str, cosine: float) -> bool:
        """Ask: the real lookup, from the text to the answer."""

    def empty(self) -> None:
        """Forget what is stored."""


class Cosine:
    """One comparison of two vectors: the least that a semantic cache does."""

    default: float | None = None

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._kept: list[tuple[Vector, str]] = []

    def store(self, question: str) -> None:
        """Keep the vector."""
        self._kept = [(self._embed(question), ANSWER)]

    def finds(self, question: str, cosine: float) -> bool:
        """Compare the vectors."""
        vector = self._embed(question)
        return any(float(vector @ kept) >= cosine for kept, _answer in self._kept)

    def empty(self) -> None:
        """Forget the vector."""
        self._kept = []


class Redisvl:
    """The semantic cache of redisvl, with a server that has the search module."""

    def __init__(self, embed: Embed, client: redis.Redis) -> None:
        from redisvl.extensions.cache.llm import SemanticCache  # type: ignore[import-not-found]  # noqa: PLC0415
        from redisvl.utils.vectorize import CustomVectorizer  # type: ignore[import-not-found]  # noqa: PLC0415

        vectorizer = CustomVectorizer(embed=lambda content, **_: embed(content).tolist())
        self._cache = SemanticCache(name="pairs", vectorizer=vectorizer, redis_client=client)
        self._keys: list[str] = []
        # It thinks in distances; the rounding takes off what their binary fractions add.
        self.default: float | None = round(1.0 - self._cache.distance_threshold, 6)

    def store(self, question: str) -> None:
        """Store it as its documentation does."""
        self._keys = [self._cache.store(prompt=question, response=ANSWER)]

    def finds(self, question: str, cosine: float) -> bool:
        """Check as its documentation does."""
        return bool(self._cache.check(prompt=question, distance_threshold=1.0 - cosine))

    def empty(self) -> None:
        """Drop the entry; the index stays."""
        self._cache.drop(keys=self._keys)


class Gptcache:
    """GPTCache with SQLite and faiss, and the distance of the search as its similarity: what it comes with."""

    # The square of the greatest distance between two vectors of length 1.
    GREATEST = 4.0

    def __init__(self, embed: Embed, folder: Path) -> None:
        from gptcache import Cache, Config  # type: ignore[import-not-found]  # noqa: PLC0415
        from gptcache.adapter import api  # type: ignore[import-not-found]  # noqa: PLC0415
        from gptcache.manager import manager_factory  # type: ignore[import-not-found]  # noqa: PLC0415
        from gptcache.processor.pre import get_prompt  # type: ignore[import-not-found]  # noqa: PLC0415
        from gptcache.similarity_evaluation import (  # type: ignore[import-not-found]  # noqa: PLC0415
            SearchDistanceEvaluation,
        )

        self._api: Any = api
        self._cache: Any = Cache()
        self._config: Any = Config()
        self._data: Any = manager_factory(
            # Its own eviction would come between the pairs.
            "sqlite,faiss",
            data_dir=str(folder),
            vector_params={"dimension": DIMENSIONS},
            max_size=1_000_000,
        )
        self._cache.init(
            pre_embedding_func=get_prompt,
            embedding_func=lambda text, **_: embed(text),
            data_manager=self._data,
            similarity_evaluation=SearchDistanceEvaluation(),
            config=self._config,
        )
        # 4 - |a - b|² >= 4 s, and |a - b|² = 2 - 2 cos: cos >= 2 s - 1.
        self.default: float | None = round(2.0 * self._config.similarity_threshold - 1.0, 6)

    def store(self, question: str) -> None:
        """Put it as its documentation does."""
        self._api.put(question, ANSWER, cache_obj=self._cache)

    def finds(self, question: str, cosine: float) -> bool:
        """Get it as its documentation does."""
        self._config.similarity_threshold = (1.0 + cosine) / 2.0
        return self._api.get(question, cache_obj=self._cache) is not None

    def empty(self) -> None:
        """Delete from both of its stores."""
        ids = self._data.s.get_ids(deleted=False)
        self._data.v.delete(ids)
        self._data.s.mark_deleted(ids)
        self._data.s.clear_deleted_data()


@dataclass(slots=True)
class Seen:
    """What a system did at a threshold."""

    hits: list[bool] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


def measured(system: System, pairs: Sequence[Pair], thresholds: Sequence[float]) -> dict[float, Seen]:
    """Let every pair meet an empty cache; thresholds take turns in being the first that is asked."""
    seen = {threshold: Seen() for threshold in thresholds}
    for number, pair in enumerate([*pairs[:WARM_UP], *pairs]):
        system.store(pair.a)
        try:
            turn = number % len(thresholds)
            for threshold in (*thresholds[turn:], *thresholds[:turn]):
                began = time.perf_counter()
                hit = system.finds(pair.b, threshold)
                took = (time.perf_counter() - began) * 1e3
                if number >= min(WARM_UP, len(pairs)):
                    seen[threshold].hits.append(hit)
                    seen[threshold].ms.append(took)
        finally:
            system.empty()
    return seen


def summary(seen: Seen, pairs: Sequence[Pair], cosines: Sequence[float]) -> dict[str, Any]:
    """Say how often it was right and wrong, how long it took, and where it was most wrong."""
    same = sum(pair.same for pair in pairs)
    found = [(pair, cosine) for pair, cosine, hit in zip(pairs, cosines, seen.hits, strict=True) if hit]
    wrong = sorted(((pair, cosine) for pair, cosine in found if not pair.same), key=lambda each: -each[1])
    right = len(found) - len(wrong)
    families, missed = Counter(pair.family for pair in pairs), Counter(pair.family for pair, _ in found)
    cuts = statistics.quantiles(seen.ms, n=100, method="inclusive") if len(seen.ms) > 1 else [*seen.ms] * 99
    return {
        "pairs": len(pairs),
        "same": same,
        "hits": len(found),
        "recall": _share(right, same),
        "wrong_hits": len(wrong),
        # Of the pairs that want another answer; and of all that it answered.
        "wrong_share": _share(len(wrong), len(pairs) - same),
        "wrong_of_hits": _share(len(wrong), len(found)),
        "p50_ms": round(cuts[49], 4),
        "p99_ms": round(cuts[98], 4),
        "families": {family: _share(missed[family], count) for family, count in families.items()},
        "worst": [
            {"a": pair.a, "b": pair.b, "family": pair.family, "similarity": round(cosine, 4)}
            for pair, cosine in wrong[:WORST]
        ],
    }


def embedder() -> Embed:
    """Load the model that is in the wheel of wordllama."""
    wordllama: Any = importlib.import_module("wordllama")  # it has no types
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load("l2_supercat", cache_dir=folder, dim=DIMENSIONS, disable_download=True)

    def embed(text: str) -> Vector:
        vector: Vector = np.asarray(model.embed(text, norm=True), dtype=np.float32)[0]
        return vector

    return embed


@contextlib.contextmanager
def opened(name: str, embed: Embed, folder: Path) -> Iterator[System]:
    """Start a system."""
    if name == "cosine":
        yield Cosine(embed)
    elif name == "gptcache":
        yield Gptcache(embed, folder)
    elif name == "redisvl":
        with searching(folder) as client:
            yield Redisvl(embed, client)
    else:
        raise ValueError("there is no such system; there are cosine, redisvl, gptcache")


def main() -> None:
    """Measure all systems, one after the other."""
    warnings.simplefilter("ignore")  # theirs, about their own insides
    pairs = read(Path(os.environ["BENCH_PAIRS"]).resolve())
    thresholds = [float(each) for each in os.environ.get("BENCH_THRESHOLDS", "0.8,0.9,0.95").split(",")]
    embed = embedder()
    cosines = [float(embed(pair.a) @ embed(pair.b)) for pair in pairs]
    folder = _folder()
    for name in os.environ.get("BENCH_SYSTEMS", "cosine,redisvl,gptcache").split(","):
        try:
            with opened(name, embed, folder) as system:
                asked = sorted({*thresholds, *([] if system.default is None else [system.default])})
                seen = measured(system, pairs, asked)
        except Exception as error:  # noqa: BLE001  # whatever a system says: it is not measured, and the next one is
            print(json.dumps({"system": name, "not_run": f"{type(error).__name__}: {error}"[:SHOWN]}), flush=True)
            continue
        version = metadata.version("wordllama" if name == "cosine" else name)
        for threshold, what in seen.items():
            head = {"system": name, "version": version, "threshold": threshold}
            said = head | {"default": threshold == system.default} | summary(what, pairs, cosines)
            print(json.dumps(said, ensure_ascii=False), flush=True)


def _folder() -> Path:
    """Make the folder that all work in: GPTCache writes where it is, and once more when Python ends."""
    folder = tempfile.mkdtemp(prefix="semantic-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chdir(folder)
    return Path(folder)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


if __name__ == "__main__":
    main()
