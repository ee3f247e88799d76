"""Requests for analysis asked again, put together: of the cache alone or of models, and nothing of it is stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from confluent_kafka import Message

from connectors.clock import Clock, SystemClock
from connectors.errors import ConnectorError
from connectors.llm.door import Size
from connectors.llm.pool import Pool
from connectors.llm.schema import request_bytes
from connectors.timescale.store import Store
from schemas.codec import decode
from schemas.errors import PoisonError
from schemas.models import AnalysisRequest, Insight
from schemas.topics import ANALYSIS_REQUESTS
from streams.agents import lookup
from streams.agents.judge import ModelJudge
from streams.agents.keeping import Keeping
from streams.agents.packing import Packer, Told
from streams.agents.packs import answer_tokens
from streams.app import keeping, models
from streams.app.replay_plan import ReplayError, chooser_of, opened, read, schema_of
from streams.prompts.answer import Answer, RefusedAnswerError, check
from streams.prompts.facts import Facts
from streams.prompts.insight import Origin, insight, insight_id
from streams.prompts.pack import Answers
from streams.prompts.prompt import Prompt, fingerprint
from streams.replay.checkpoint import Checkpoint
from streams.replay.verdicts import Report
from streams.settings import Settings

# How many requests are looked up at once.
CHUNK: Final = 500
# Why there is no verdict to compare.
UNREADABLE: Final = "unreadable"
AGAIN: Final = "the same request again"
UNANSWERED: Final = "without an insight"
TALKS: Final = "of a conversation"
EMPTY: Final = "about windows without readings"
# Of what an error says, so much.
MOST_WHY: Final = 160
NOT_KEPT: Final = "not in the cache"

Check = Callable[[Answer], None]
# Gives an answer to a window, or None.
Ask = Callable[[Facts, Check], Awaitable[Told | None]]
# Opens what answers, and says how many windows may be asked about at once.
Asking = Callable[[Settings, models.Models], AbstractAsyncContextManager[tuple[Ask, int]]]


class Case(NamedTuple):
    """A request, with its window, and the insight that answers it."""

    request: AnalysisRequest
    stands: Insight


@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking again would be: so many windows, and what that costs in dollars.

    `about` is as if each cost what a model's answer to one of them has cost, None where none ever did; `reserved` is
    the most that asking each of them once, and alone, can cost.
    """

    windows: int
    about: Decimal | None
    reserved: Decimal


class Review:
    """Requests of the log, asked again; `report` is what was found so far, whatever ends it."""

    def __init__(self, settings: Settings, planned: Checkpoint, on_read: Callable[[int], None]) -> None:
        """Nothing is read yet; `on_read` hears how many more requests are done with.

        Raises:
            ReplayError: there are no requests for analysis in that topic.

        """
        if schema_of(planned.topic) != ANALYSIS_REQUESTS.schema:
            raise ReplayError(
                f"--cache-only and --re-ask are about {ANALYSIS_REQUESTS.name}, and {planned.topic} has none of them."
            )
        self._settings = settings
        self._planned = planned
        self._on_read = on_read
        self._clock: Clock = SystemClock()
        self._ids: set[str] = set()
        self.report = Report()
        self.left_out: dict[str, int] = {}

    def estimate(self) -> Estimate:
        """Find out what asking models would cost; nothing is asked.

        Raises:
            ReplayError: there are no models.
            Other errors: what reading, choosing and the database raise.

        """
        return asyncio.run(self._estimate())

    def ask_cache(self, who: str) -> None:
        """Compare what stands with what the cache says, without what the memory of workers has.

        Raises: as `estimate`.
        """
        asyncio.run(self._review(who, "replay cache-only", _cache))

    def ask_models(self, who: str) -> None:
        """Compare what stands with what models say when they are asked again. Their calls are paid, from the budget.

        Raises: as `estimate`.
        """
        asyncio.run(self._review(who, "replay re-ask", _models))

    async def _estimate(self) -> Estimate:
        windows, paid, reserved = 0, [], Decimal(0)
        with opened(self._settings) as store:
            async with _built(self._settings) as asked:
                for cases in self._cases(store):
                    self._on_read(len(cases))
                    windows += len(cases)
                    paid += [Decimal(str(one.stands.cost_usd)) for one in cases if one.stands.cost_usd]
                    reserved += sum(_most(asked.pool, Facts.of(one.request)) for one in cases)
        about = sum(paid, Decimal(0)) / len(paid) * windows if paid else None
        return Estimate(windows, about, reserved)

    async def _review(self, who: str, action: str, asking: Asking) -> None:
        detail = self._planned.model_dump(mode="json", include={"topic", "selection", "left", "rate"})
        with opened(self._settings) as store:
            async with _built(self._settings) as asked, asking(self._settings, asked) as (ask, at_once):
                store.audit(who, action, detail)
                room = asyncio.Semaphore(at_once)
                try:
                    for cases in self._cases(store):
                        async with asyncio.TaskGroup() as group:
                            for case in cases:
                                group.create_task(self._compare(case, ask, room))
                finally:
                    told = {"verdicts": dict(self.report.verdicts), "usd": float(self.report.usd)}
                    store.audit(who, f"{action} ended", told)

    async def _compare(self, case: Case, ask: Ask, room: asyncio.Semaphore) -> None:
        request, stands = case
        facts = Facts.of(request)
        async with room:
            try:
                told = await ask(facts, lambda answer: check(answer, request))
                if told is None:
                    self.report.without[NOT_KEPT] += 1
                else:
                    self.report.add(stands, self._insight(request, told, fingerprint(facts)))
            except (ConnectorError, RefusedAnswerError) as error:
                self.report.without[f"no answer: {error}"[:MOST_WHY]] += 1
        self._on_read(1)

    def _insight(self, request: AnalysisRequest, told: Told, prompt_hash: str) -> Insight:
        origin = Origin(
            source=told.source,
            created=self._clock.now(),
            latency_s=0.0,
            model=told.model,
            prompt_hash=prompt_hash,
            prompt_tokens=told.usage.prompt_tokens,
            completion_tokens=told.usage.completion_tokens,
            cost_usd=float(told.usage.usd),
        )
        return insight(request, told.answer, origin)

    def _cases(self, store: Store) -> Iterator[list[Case]]:
        """Give what can be asked again: chosen, readable, answered, each once, with its window."""
        chooser = chooser_of(store, self._planned)
        for messages in read(self._settings, self._planned, lambda _: None, most=CHUNK):
            chosen = chooser.chosen(messages)
            requests = self._fresh(chosen)
            stand = store.insights([insight_id(one) for one in requests])
            answered = [one for one in requests if insight_id(one) in stand]
            self.report.without[UNANSWERED] += len(requests) - len(answered)
            looked_up = _windows(store, answered)
            filled = [one for one in looked_up if one.samples]
            self.report.without[EMPTY] += len(looked_up) - len(filled)
            self.left_out = dict(chooser.left_out)
            self._on_read(len(messages) - len(filled))
            yield [Case(one, stand[insight_id(one)]) for one in filled]

    def _fresh(self, messages: Sequence[Message]) -> list[AnalysisRequest]:
        fresh = []
        for message in messages:
            try:
                request = decode(message.value() or b"", AnalysisRequest)
                if lookup.is_needed(request):
                    lookup.check(request)
            except PoisonError:
                self.report.without[UNREADABLE] += 1
                continue
            if request.id in self._ids:
                self.report.without[AGAIN] += 1
            elif request.conversation is not None:
                # What it means depends on what was said before.
                self.report.without[TALKS] += 1
            else:
                fresh.append(request)
            self._ids.add(request.id)
        return fresh


def _windows(store: Store, requests: Sequence[AnalysisRequest]) -> list[AnalysisRequest]:
    """Give requests with their windows, as the table has them today where they did not bring them."""
    without = [one for one in requests if lookup.is_needed(one)]
    found = {one.id: one for one in lookup.look_up(store, without)} if without else {}
    return [found.get(one.id, one) for one in requests]


def _most(pool: Pool, facts: Facts) -> Decimal:
    prompt = Prompt.of([facts])
    size = Size(facts.tenant, request_bytes(prompt.system, prompt.user, Answers), answer_tokens(1))
    return max(
        member.price.most(size.prompt_bytes, size.most_output(member.endpoint)) for member in pool.members.values()
    )


@asynccontextmanager
async def _built(settings: Settings) -> AsyncIterator[models.Models]:
    asked = models.build(settings)
    if asked is None:
        raise ReplayError("No model endpoint is set, so no model was asked, and nothing of one is kept.")
    try:
        yield asked
    finally:
        await asked.close()


@asynccontextmanager
async def _models(settings: Settings, asked: models.Models) -> AsyncIterator[tuple[Ask, int]]:
    windows = settings.llm.windows_per_call
    yield Packer(asked.pool, windows=windows).ask, 2 * asked.pool.calls * windows


@asynccontextmanager
async def _cache(settings: Settings, asked: models.Models) -> AsyncIterator[tuple[Ask, int]]:
    caches = keeping.assemble(settings, ModelJudge(asked.pool))
    try:
        await caches.hearing.listen()
        packer = Packer(asked.pool, windows=1)
        yield Keeping(packer, caches.cache, asked.pool.models, caches.meaning).kept, 4
    finally:
        await caches.close()
