"""The cache as an operator sees it: what is kept, why, and what should be forgotten or put right."""

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

from connectors.cache.entry import Key
from connectors.cache.tiers import Found
from connectors.closing import Closing
from connectors.questions import Question
from connectors.timescale.questions import NoVectorsError
from schemas.errors import TidegateError
from schemas.fields import Source, deterministic_id
from streams.app import keeping
from streams.app.cache_keys import keys_of
from streams.prompts.answer import Answer
from streams.prompts.kept import Kept, is_for_others
from streams.prompts.placeholders import unknown
from streams.settings import Settings

_DIGEST: Final = re.compile(r"(?:([^/]*)/)?([0-9a-f]{64})")
# Of so many similar questions so many are shown beside one, each of another form.
SIMILAR, SHOWN = 40, 5
_KEPT: Final = frozenset({Source.L1, Source.L2, Source.L3, Source.SEMANTIC})


class NotKeptError(TidegateError):
    """There is no such answer, or it cannot be one."""


class CacheAdmin(Closing):
    """One cache. An asynchronous context manager; what its methods raise beside is what the database does."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is connected yet."""
        self._settings = settings
        self._caches = keeping.assemble(settings)
        self._judging = keeping.judging(settings, self._caches.questions, worker="")

    async def __aenter__(self) -> Self:
        await self._caches.hearing.listen()
        return self

    async def close(self) -> None:
        """End the connections."""
        await self._caches.close()

    async def keys(self, which: str) -> list[Key]:
        """Give the keys that are meant: by `[TENANT/]DIGEST`, or those of an insight or of a task by its id.

        An insight may be kept under two keys, where there are models of two tiers.

        Raises:
            NotKeptError: it is neither, or nothing can be kept of it.

        """
        written = _DIGEST.fullmatch(which)
        if written is not None:
            return [Key(written[1] or "", written[2])]
        try:
            of = str(uuid.UUID(which))
        except ValueError:
            raise NotKeptError(
                f"{which!r} is neither a key (64 hexadecimal digits) nor an id of an insight or task."
            ) from None
        found = await self._caches.orders.insight([of, deterministic_id("insight", of)])
        if found is None:
            raise NotKeptError(f"There is no insight {of}, nor one of a task of that id.")
        keys = keys_of(found, self._settings)
        if not keys:
            raise NotKeptError(f"Insight {found['id']} was given by {found['source']}: no model's answer is behind it.")
        return keys

    async def explain(self, key: Key) -> dict[str, object]:
        """Say what is kept under a key, and where."""
        tiers = self._caches.cache.tiers
        corrected = tiers.orders.corrected(key)
        places = {"l2": await tiers.in_redis(key), "l3": await tiers.on_disk(key)}
        told: dict[str, object] = {"key": key.digest, "tenant": key.tenant}
        if corrected is not None:
            told["corrected"] = corrected.model_dump(mode="json")
        told |= {place: "nothing" if found is None else _told(found) for place, found in places.items()}
        question = await self._caches.questions.of(key.tenant, key.digest)
        return told if question is None else told | await self._alike(question)

    async def _alike(self, question: Question) -> dict[str, object]:
        """Say which questions are the most similar, and what is known of them."""
        told: dict[str, object] = {"question": question.text, "form": question.form}
        try:
            near = await self._caches.questions.near(question, most=SIMILAR)
        except NoVectorsError as error:
            return told | {"similar": f"unknown: {error}"}
        await self._judging.exchange()
        right = self._judging.known.right_at_least
        nearest: dict[str, dict[str, Any]] = {}
        for one in near:
            nearest.setdefault(one["form"], one)
        similar = [
            {
                "question": one["text"],
                "similarity": round(one["similarity"], 3),
                "about the same": one["gate"] == question.gate,
                "means the same, probability": round(right(question.form, one["form"]), 4),
            }
            for one in list(nearest.values())[:SHOWN]
        ]
        return told | {"similar": similar}

    async def purge(self, tenant: str | None, keys: Sequence[Key], *, said_by: str) -> list[int]:
        """Forget answers: these, or all of a tenant, or (no tenant either) all; give the orders' ids."""
        if not keys:
            return [await self._caches.orders.add(tenant=tenant, digest=None, value=None, said_by=said_by)]
        return [await self._order(key, None, said_by) for key in keys]

    async def correct(self, keys: Sequence[Key], answer: Answer, *, said_by: str) -> list[int]:
        """Say what answers should be; give the orders' ids.

        Raises:
            NotKeptError: such an answer fits only one window.

        """
        strangers = [name for text in answer.texts() for name in unknown(text)]
        if strangers:
            raise NotKeptError(f"{{{strangers[0][:40]}}} is no placeholder.")
        if not is_for_others(answer):
            raise NotKeptError(
                "The answer has numbers of its own. Write {value}, {baseline}, {spread}, {from} or {to}."
            )
        kept = Kept(
            answer=answer, model=f"corrected by {said_by}"[:256], prompt_tokens=0, completion_tokens=0, cost_usd=0
        )
        return [await self._order(key, kept.model_dump_json(), said_by) for key in keys]

    async def stats(self) -> dict[str, object]:
        """Say who answered within a day, what it cost and saved, and what the levels hold."""
        by_source = await self._caches.orders.by_source()
        told: dict[str, object] = {f"insights by {source}": count for source, (count, _) in sorted(by_source.items())}
        asked, usd = by_source.get(Source.MODEL, (0, 0.0))
        kept = sum(count for source, (count, _) in by_source.items() if source in _KEPT)
        told["answered from the cache"] = f"{kept / (kept + asked):.1%}" if kept + asked else "nothing yet"
        told["spent on models, usd"] = usd
        # As if each had cost what those cost that models were asked for.
        told["saved, about, usd"] = usd / asked * kept if asked else 0.0
        await self._judging.exchange()
        told["questions in other words"] = str(self._judging.report())
        told["pairs of forms compared"] = len(self._judging.known)
        return told | await self._caches.sizes()

    async def _order(self, key: Key, value: str | None, said_by: str) -> int:
        return await self._caches.orders.add(tenant=key.tenant, digest=key.digest, value=value, said_by=said_by)


def _told(found: Found[Kept]) -> dict[str, object]:
    entry = found.entry
    told: dict[str, object] = {
        "made": _moment(entry.made),
        "fresh until": _moment(entry.fresh_until),
        "expires": _moment(entry.expires),
    }
    if entry.value is None:
        return told | {"refused": entry.refused}
    return told | entry.value.model_dump(mode="json")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
