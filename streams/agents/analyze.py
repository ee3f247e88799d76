"""One request for analysis, all of its way to an insight that stands.

The steps, in the order that makes a crash repeat a model call at the most, never an insight:
1. read the request; what cannot be used goes to `dead-letters`;
2. if its insight stands already (the request came twice, or we died after step 5), go on with that;
   if it is a task that somebody ended meanwhile, that is all;
3. look the window up, where it did not come with the request: that of a summary, or of somebody's question;
4. ask a model; where there is none, or it does not help, answer by rules, and say so in `source`; if it only has no
   time, postpone the request, and that is all: it comes again (`streams.agents.retries`);
5. store the insight and read back the one that stands;
6. confirm that one in `insights`;
7. tell whoever asked.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from connectors import metrics
from connectors.clock import Clock
from connectors.errors import ConnectorError, SlowDownError
from connectors.kafka.producer import Outgoing, Producer
from connectors.timescale.store import Store
from connectors.timescale.tasks import Postponed, Tried
from schemas.codec import decode, encode
from schemas.errors import PoisonError
from schemas.fields import Source
from schemas.models import AnalysisRequest, Insight
from schemas.topics import INSIGHTS
from streams.agents import letters, lookup
from streams.agents.gathering import Gathering
from streams.agents.lookup import is_needed, look_up
from streams.agents.packing import Session, Told
from streams.agents.records import Record, raw_batch
from streams.agents.retries import MOST_WAITING, Kind, kind_of, next_due
from streams.agents.talks import Memory, Talks
from streams.columns.batch import Poison
from streams.prompts.answer import Answer, RefusedAnswerError, check
from streams.prompts.facts import Facts
from streams.prompts.insight import Origin, insight, insight_id
from streams.prompts.prompt import fingerprint
from streams.prompts.rules import explain

log = logging.getLogger(__name__)


class Asks(Protocol):
    """Who can be asked about a window (`streams.agents.packing.Packer`)."""

    async def ask(self, facts: Facts, check: Callable[[Answer], None], session: Session | None = None) -> Told:
        """Ask once; an answer that `check` refuses is none. Who answered in the session before should do so again."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the analyze agent reaches of the outside world. Without a model, rules answer."""

    store: Store
    producer: Producer
    clock: Clock
    model: Asks | None
    memory: Memory | None = None


class Analyst:
    """Turns requests into insights, many at once."""

    def __init__(self, outside: Outside, *, region: str) -> None:
        """Nothing is asked yet."""
        self._outside = outside
        self._region = region
        self._talks = Talks(outside.memory)
        # The store is for one thread.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="analyze")
        self._standing = Gathering(self._find, self._thread)
        self._looking_up = Gathering(partial(look_up, outside.store), self._thread)
        self._storing = Gathering(self._store, self._thread)
        self._beginning = Gathering(self._begin, self._thread)
        self._postponing = Gathering(self._postpone, self._thread)
        self._finishing = Gathering(self._finish, self._thread)

    async def start(self) -> None:
        """Be ready to work."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._outside.store.open)

    async def handle(self, record: Record) -> None:
        """Take one record of `analysis-requests` through all steps."""
        try:
            request = _read(record.value() or b"")  # step 1
        except PoisonError as error:
            await self._refuse(record, error)
            return
        stands, tried = await self._standing.do(request)  # step 2
        # What people ask is a task, and what was postponed before.
        is_task = request.question is not None or tried is not None
        if stands is None:
            if tried is not None and tried.ended:
                return
            if is_needed(request):
                request = await self._looking_up.do(request)  # step 3
            if is_task:
                await self._beginning.do(request)
            answer = await self._answer(request, tried)  # step 4
            if answer is None:
                return
            stands = await self._storing.do(answer)  # step 5
        await self._outside.producer.publish_soon(
            [Outgoing(INSIGHTS.name, stands.device_id.encode(), encode(stands))]
        )  # step 6
        if is_task:
            await self._finishing.do((request.id, stands.id))  # step 7

    async def _refuse(self, record: Record, error: PoisonError) -> None:
        poison = [Poison(0, error.reason, error.detail)]
        batch = raw_batch([record])
        await self._outside.producer.publish_soon(
            letters.of_poison(batch, poison, stage="analyze", region=self._region, clock=self._outside.clock)
        )

    async def _answer(self, request: AnalysisRequest, tried: Tried | None) -> Insight | None:
        """Give a model's answer, else that of rules; None if a model is to be asked later."""
        now, started = self._outside.clock.now(), self._outside.clock.monotonic()
        since = now if tried is None or tried.since is None else tried.since
        started -= max(0.0, (now - since).total_seconds())
        # About a window that was looked up, and is empty, a model has nothing to say.
        if self._outside.model is not None and (request.samples or not is_needed(request)):
            try:
                return await self._by_model(self._outside.model, request, started)
            except (ConnectorError, RefusedAnswerError) as error:
                attempts = 1 if tried is None else tried.attempts + 1
                if isinstance(error, SlowDownError) and await self._try_again(request, attempts, since, error):
                    return None
                log.warning(
                    "no usable answer about %s of %s, rules answer: %s", request.metric, request.device_id, error
                )
        metrics.ANSWERS.labels("rules").inc()
        return insight(request, explain(request), self._origin(started))

    async def _by_model(self, model: Asks, request: AnalysisRequest, started: float) -> Insight:
        talk = await self._talks.before(request)
        facts = Facts.of(request, talk.earlier)
        told = await model.ask(facts, lambda answer: check(answer, request), talk.session)
        answer = insight(request, told.answer, self._origin(started, told, fingerprint(facts)))
        await self._talks.remember(request, told.answer.summary, told.endpoint)
        metrics.ANSWERS.labels("stand-in" if told.stood_in else "model").inc()
        return answer

    async def _try_again(self, request: AnalysisRequest, attempts: int, since: datetime, error: SlowDownError) -> bool:
        """Postpone a request, unless that would be too late, or too many are."""
        asked_s = error.retry_after_s
        due = next_due(request, attempts=attempts, since=since, asked_s=asked_s, now=self._outside.clock.now())
        if due is None or not await self._postponing.do(Postponed(request, since, due)):
            return False
        metrics.POSTPONED.labels(kind_of(request)).inc()
        log.info("%s of %s is asked about again at %s: %s", request.metric, request.device_id, due, error)
        return True

    def _origin(self, started: float, told: Told | None = None, prompt_hash: str | None = None) -> Origin:
        created, latency_s = self._outside.clock.now(), self._outside.clock.monotonic() - started
        if told is None:
            return Origin(source=Source.RULES, created=created, latency_s=latency_s)
        return Origin(
            source=Source.MODEL,
            created=created,
            latency_s=latency_s,
            model=told.model,
            prompt_hash=prompt_hash,
            prompt_tokens=told.usage.prompt_tokens,
            completion_tokens=told.usage.completion_tokens,
            cost_usd=float(told.usage.usd),
        )

    # -- on the store's thread -----------------------------------------------------------------------------------------

    def _find(self, requests: Sequence[AnalysisRequest]) -> list[tuple[Insight | None, Tried | None]]:
        stand = self._outside.store.insights([insight_id(one) for one in requests])
        tried = self._outside.store.tried_tasks([one.id for one in requests])
        return [(stand.get(insight_id(one)), tried.get(one.id)) for one in requests]

    def _store(self, answers: Sequence[Insight]) -> list[Insight]:
        stand = self._outside.store.store_insights(answers)
        return [stand[answer.id] for answer in answers]

    def _begin(self, requests: Sequence[AnalysisRequest]) -> list[None]:
        self._outside.store.begin_tasks(requests, self._outside.clock.now())
        return [None] * len(requests)

    def _postpone(self, wanted: Sequence[Postponed]) -> list[bool]:
        crowded = self._outside.store.crowded(most=MOST_WAITING)
        may = [not crowded or kind_of(one.request) is Kind.QUESTION for one in wanted]
        self._outside.store.postpone_tasks(list(itertools.compress(wanted, may)), self._outside.clock.now())
        return may

    def _finish(self, ends: Sequence[tuple[str, str]]) -> list[None]:
        self._outside.store.finish_tasks(ends, self._outside.clock.now())
        return [None] * len(ends)


def _read(value: bytes) -> AnalysisRequest:
    request = decode(value, AnalysisRequest)
    if is_needed(request):
        lookup.check(request)
    return request
