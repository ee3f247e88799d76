"""One request for analysis, all of its way to an insight that stands.

The steps, in the order that makes a crash repeat a model call at the most, never an insight:
1. read the request; what cannot be used goes to `dead-letters`;
2. if its insight stands already (the request came twice, or we died after step 5), go on with that;
   if it is a task that somebody ended meanwhile, that is all; if its time is over, it has failed, and if its time has
   not come, it waits in `tasks`;
3. look the window up, where it did not come with the request: that of a summary, or of somebody's question; if an
   endpoint takes batches, put a summary off for one, and that is all: it comes again with an answer
   (`streams.agents.batches`);
4. ask a model, unless a batch has answered; where there is none, or it does not help, answer by rules, and say so in
   `source`; if it only has no time, postpone the request, and that is all: it comes again (`streams.agents.retries`);
5. store the insight and read back the one that stands, unless somebody ended the task while a model was asked;
6. confirm that one in `insights`;
7. tell whoever asked.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from connectors import metrics, tracing
from connectors.clock import Clock
from connectors.errors import ConnectorError, SlowDownError
from connectors.kafka.producer import Outgoing, Producer
from connectors.llm.prices import Usage
from connectors.timescale.insights import Announce, nobody
from connectors.timescale.store import Store
from connectors.timescale.tasks import Postponed, Tried
from schemas.codec import decode, encode
from schemas.errors import PoisonError
from schemas.fields import Source
from schemas.models import AnalysisRequest, Insight
from schemas.topics import INSIGHTS
from streams.agents import letters, lookup
from streams.agents.batch_results import answer_of_batch, spent_on
from streams.agents.filing import Filing, Past
from streams.agents.lookup import is_needed
from streams.agents.packing import Session, Told
from streams.agents.records import Record, raw_batch
from streams.agents.retries import Kind, kind_of, next_due
from streams.agents.talks import Memory, Talks
from streams.columns.batch import Poison
from streams.prompts.answer import Answer, RefusedAnswerError, check
from streams.prompts.facts import Facts
from streams.prompts.insight import Origin, insight
from streams.prompts.prompt import fingerprint
from streams.prompts.rules import explain

log = logging.getLogger(__name__)

# Why a task has failed.
EXPIRED: Final = "expired"


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
    # Whether summaries may be put off for a batch.
    takes_batches: Callable[[], bool] = lambda: False
    # Tells who waits for a task that something has happened to it.
    ring: Callable[[str], None] = lambda _: None
    # Says which webhooks are to be told of an insight.
    announce: Announce = nobody


class Analyst:
    """Turns requests into insights, many at once."""

    def __init__(self, outside: Outside, *, region: str) -> None:
        """Nothing is asked yet."""
        self._outside = outside
        self._region = region
        self._talks = Talks(outside.memory)
        self._filing = Filing(outside.store, outside.clock, outside.ring, outside.announce)

    async def start(self) -> None:
        """Be ready to work."""
        await self._filing.open()

    async def handle(self, record: Record) -> None:
        """Take one record of `analysis-requests` through all steps."""
        with tracing.span("analyze", tracing.of_headers(dict(record.headers() or ()))) as it:
            await self._handle(record, it)

    async def _handle(self, record: Record, it: tracing.Active) -> None:
        try:
            request = _read(record.value() or b"")  # step 1
        except PoisonError as error:
            await self._refuse(record, error)
            return
        it.tell(task=request.id, device=request.device_id, metric=request.metric, kind=request.kind)
        past = await self._filing.find(request)  # step 2
        stands, tried = past.stands, past.tried
        # What people ask is a task, and what was postponed before.
        is_task = request.question is not None or tried is not None
        if stands is None:
            if not await self._is_wanted(request, tried):
                return
            answer = await self._find_answer(request, past)
            stands = None if answer is None else await self._filing.store((request, answer))  # step 5
            if stands is None:
                return
            if request.question is None:
                age_s = (self._outside.clock.now() - request.accepted).total_seconds()
                metrics.EXPLAINED_AFTER.labels(kind_of(request)).observe(max(0.0, age_s))
        it.tell(insight=stands.id, source=stands.source, severity=stands.severity, model=stands.model)
        await self._outside.producer.publish_soon(
            [Outgoing(INSIGHTS.name, stands.device_id.encode(), encode(stands), it.headers())]
        )  # step 6
        if is_task:
            await self._filing.finish(request.id, stands.id)  # step 7

    async def _is_wanted(self, request: AnalysisRequest, tried: Tried | None) -> bool:
        """Say whether a request is to be answered now: nobody has ended it, and its time has come and is not over."""
        if tried is not None and tried.ended:
            return False
        now = self._outside.clock.now()
        if request.expires is not None and request.expires <= now:
            await self._filing.fail(request, EXPIRED)
            return False
        if request.not_before is not None and request.not_before > now:
            await self._filing.defer(request, request.not_before)
            return False
        return True

    async def _refuse(self, record: Record, error: PoisonError) -> None:
        metrics.POISON.labels("analyze", error.reason).inc()
        poison = [Poison(0, error.reason, error.detail)]
        batch = raw_batch([record])
        await self._outside.producer.publish_soon(
            letters.of_poison(batch, poison, stage="analyze", region=self._region, clock=self._outside.clock)
        )

    async def _find_answer(self, request: AnalysisRequest, past: Past) -> Insight | None:
        """Give the answer of a batch, else a model's, else that of rules; None if it comes again later."""
        now, tried = self._outside.clock.now(), past.tried
        if past.waits(now):
            # It came twice. Should it have been published just now, it is again: it is never forgotten.
            await self._filing.put_off(request)
            return None
        answer = None if past.item is None else answer_of_batch(past.item, now)
        if answer is not None:
            metrics.ANSWERS.labels("model").inc()
            return answer
        if is_needed(request):
            request = await self._filing.look_up(request)  # step 3
        if tried is None and kind_of(request) is Kind.SUMMARY and request.samples and self._outside.takes_batches():
            await self._filing.put_off(request)
            return None
        if request.question is not None or tried is not None:
            await self._filing.begin(request)
        return await self._answer(request, past)  # step 4

    async def _answer(self, request: AnalysisRequest, past: Past) -> Insight | None:
        """Give a model's answer, else that of rules; None if a model is to be asked later."""
        tried = past.tried
        now, started = self._outside.clock.now(), self._outside.clock.monotonic()
        since = now if tried is None or tried.since is None else tried.since
        started -= max(0.0, (now - since).total_seconds())
        # About a window that was looked up, and is empty, a model has nothing to say.
        if self._outside.model is not None and (request.samples or not is_needed(request)):
            try:
                return await self._by_model(self._outside.model, request, started, spent_on(past.item))
            except (ConnectorError, RefusedAnswerError) as error:
                attempts = 1 if tried is None else tried.attempts + 1
                if isinstance(error, SlowDownError) and await self._try_again(request, attempts, since, error):
                    return None
                log.warning(
                    "no usable answer about %s of %s, rules answer: %s",
                    request.metric,
                    request.device_id,
                    error,
                    extra=_about(request),
                )
        metrics.ANSWERS.labels("rules").inc()
        return insight(request, explain(request), self._origin(started))

    async def _by_model(self, model: Asks, request: AnalysisRequest, started: float, spent: Usage) -> Insight:
        talk = await self._talks.before(request)
        facts = Facts.of(request, talk.earlier)
        with tracing.span("ask model") as it:
            told = await model.ask(facts, lambda answer: check(answer, request), talk.session)
            it.tell(source=told.source, model=told.model, endpoint=told.endpoint, usd=float(told.usage.usd))
        told = replace(told, usage=told.usage + spent)
        answer = insight(request, told.answer, self._origin(started, told, fingerprint(facts)))
        await self._talks.remember(request, told.answer.summary, told.endpoint)
        metrics.ANSWERS.labels(_by(told)).inc()
        return answer

    async def _try_again(self, request: AnalysisRequest, attempts: int, since: datetime, error: SlowDownError) -> bool:
        """Postpone a request, unless that would be too late, or too many are."""
        asked_s = error.retry_after_s
        due = next_due(request, attempts=attempts, since=since, asked_s=asked_s, now=self._outside.clock.now())
        if due is None or not await self._filing.postpone(Postponed(request, since, due)):
            return False
        metrics.POSTPONED.labels(kind_of(request)).inc()
        log.info(
            "%s of %s is asked about again at %s: %s",
            request.metric,
            request.device_id,
            due,
            error,
            extra=_about(request),
        )
        return True

    def _origin(self, started: float, told: Told | None = None, prompt_hash: str | None = None) -> Origin:
        created, latency_s = self._outside.clock.now(), self._outside.clock.monotonic() - started
        if told is None:
            return Origin(source=Source.RULES, created=created, latency_s=latency_s)
        return Origin(
            source=told.source,
            created=created,
            latency_s=latency_s,
            model=told.model,
            prompt_hash=prompt_hash,
            prompt_tokens=told.usage.prompt_tokens,
            completion_tokens=told.usage.completion_tokens,
            cost_usd=float(told.usage.usd),
        )


def _about(request: AnalysisRequest) -> dict[str, object]:
    """Give what the log says of a request beside the message."""
    about: dict[str, object] = {"task": request.id, "device": request.device_id, "metric": request.metric}
    if request.topic:
        about |= {"topic": request.topic, "partition": request.partition, "offset": request.last_offset}
    return about


def _by(told: Told) -> str:
    if told.source is not Source.MODEL:
        return "cache"
    return "stand-in" if told.stood_in else "model"


def _read(value: bytes) -> AnalysisRequest:
    request = decode(value, AnalysisRequest)
    if is_needed(request):
        lookup.check(request)
    return request
