"""Summaries in batches, at half the price: what waits for one is packed, paid for, sent, and looked after to its end.

A batch's row is written before the endpoint hears of it, under an id of ours that the endpoint is told, so wherever a
worker dies the next one finds it: a batch of which nobody wrote down that the endpoint has it is looked for there, and
what it was to ask goes into another where it is not. What comes back is written beside the requests, which are due
then: they come again through the topic (`streams.agents.retries`), and whoever takes one up finds its answer.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeVar

from connectors import metrics
from connectors.clock import Clock
from connectors.errors import ConnectorError
from connectors.llm.attempt import Member
from connectors.llm.batches import Question, Remote
from connectors.llm.budget import BudgetAwayError
from connectors.llm.door import Door
from connectors.llm.errors import BudgetSpentError, RefusedRequestError
from connectors.llm.prices import FREE
from connectors.llm.schema import request_bytes
from connectors.llm.settings import Endpoint, Tier
from connectors.money import Held
from connectors.timescale.batches import Ended, Line, Open, Placed, Planned, Waiting
from connectors.timescale.store import Store
from schemas.codec import decode
from schemas.models import AnalysisRequest
from streams.agents.batch_results import ended
from streams.agents.packs import answer_tokens, packed
from streams.prompts.facts import Facts
from streams.prompts.pack import Answers
from streams.prompts.prompt import Prompt

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long others may join before a batch is made.
GATHER: Final = timedelta(seconds=60)
# How long a request waits for a batch: the day that an endpoint has for one, and some time to look after it.
LONGEST: Final = timedelta(hours=25)
# How long a batch that an endpoint was told of may take to show there.
SHOWS_WITHIN: Final = timedelta(minutes=5)
# When nobody will learn any more what became of a batch.
GIVEN_UP_AFTER: Final = timedelta(days=2)
# How long rows are kept, for whoever wants to know, and how often older ones are looked for.
KEPT: Final = timedelta(days=7)
FORGET_EVERY_S: Final = 3600.0
# How long a batch may be worked on at once: the database ends a transaction that idles for two minutes.
TEND_S: Final = 90.0
# How long a tenant without money is left out.
BROKE_S: Final = 600.0
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Packed:
    """A line that is to be: whose windows it has, and what is asked."""

    tenant: str
    request_ids: Sequence[str]
    prompt: Prompt

    @property
    def output_tokens(self) -> int:
        """How long its answer may be."""
        return answer_tokens(len(self.request_ids))

    def question(self, number: int) -> Question:
        """Give it as what is sent."""
        return Question(str(number), self.prompt.system, self.prompt.user, self.output_tokens)


def pack(waiting: Sequence[Waiting], most: int) -> list[Packed]:
    """Put windows into lines, of one tenant each; those that are alike together."""
    windows = [(one.request_id, Facts.of(decode(one.request, AnalysisRequest))) for one in waiting]
    windows.sort(key=lambda one: (one[1].tenant, one[1].device_class, one[1].metric))
    return [
        Packed(tenant, [request_id for request_id, _ in line], Prompt.of([facts for _, facts in line]))
        for tenant, theirs in groupby(windows, key=lambda one: one[1].tenant)
        for line in packed(theirs, most)
    ]


class Batches:
    """Makes batches and looks after them. Any number of workers may: each batch is in the hands of one of them."""

    # How often somebody looks.
    every_s: Final = 15.0

    def __init__(
        self,
        store: Store,
        members: Callable[[], Mapping[str, Member]],
        door: Door,
        clock: Clock,
        *,
        windows: int,
        connect: Callable[[Endpoint], Remote] = Remote,
    ) -> None:
        """Nothing is connected yet. The store is its own, for it waits for endpoints; `members` are those there are."""
        self._store = store
        self._members = members
        self._door = door
        self._clock = clock
        self._windows = windows
        self._connect = connect
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        # What is asked in batches that were just made, and that no endpoint has heard of.
        self._unsent: dict[str, list[Question]] = {}
        # Tenants without money, until when.
        self._broke: dict[str, float] = {}
        self._turn = 0
        self._forgets_at = float("-inf")
        self._calls: set[Future[Any]] = set()
        self._ends = False
        # No batch is open: without an endpoint that takes any, there is nothing to look for.
        self._is_idle = False

    async def look(self) -> bool:
        """Make batches of what waits and look after those that are open; say whether there were any of either."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._look, loop)
        except asyncio.CancelledError:
            # Nobody waits for the thread any more, so it must not wait for an endpoint.
            self._ends = True
            for call in list(self._calls):
                call.cancel()
            raise

    # -- on the store's thread -----------------------------------------------------------------------------------------

    def _look(self, loop: asyncio.AbstractEventLoop) -> bool:
        now, nobody_takes, made = self._clock.now(), self._taker() is None, False
        if nobody_takes and self._is_idle:
            return False
        if nobody_takes:
            self._store.release_batch_items(now)
        while self._store.form_batch(
            now, partial(self._plan, loop), waited=GATHER, without=sorted(self._without_money())
        ):
            made = True
        open_ones = self._store.open_batches()
        self._unsent = {batch: self._unsent[batch] for batch in open_ones if batch in self._unsent}
        for batch in open_ones:
            # Of what is not sent yet only this worker knows what it asks; others may just be looking for it.
            wait = batch in self._unsent
            self._store.tend_batch(batch, now, lambda one: self._in_loop(loop, self._tend(one)), wait=wait)
        if self._clock.monotonic() >= self._forgets_at:
            self._store.forget_batches(now - KEPT)
            self._forgets_at = self._clock.monotonic() + FORGET_EVERY_S
        self._is_idle = not open_ones
        if nobody_takes and self._is_idle:
            self._store.close()
        return made or bool(open_ones)

    def _in_loop(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
        if self._ends:
            work.close()
            raise CancelledError
        call = asyncio.run_coroutine_threadsafe(work, loop)
        self._calls.add(call)
        try:
            return call.result(2 * TEND_S)
        finally:
            self._calls.discard(call)

    def _without_money(self) -> set[str]:
        now = self._clock.monotonic()
        self._broke = {tenant: until for tenant, until in self._broke.items() if now < until}
        return set(self._broke)

    def _plan(self, loop: asyncio.AbstractEventLoop, waiting: Sequence[Waiting]) -> Planned | None:
        """Say which batch is to be made of what waits: of all that there is money for."""
        self._turn += 1
        member = self._taker()
        if member is None:
            return None
        paid = self._in_loop(loop, self._pay(member, pack(waiting, self._windows)))
        if not paid:
            return None
        batch = str(uuid.uuid4())
        self._unsent[batch] = [line.question(number) for number, (line, _) in enumerate(paid, start=1)]
        lines = [Line(line.request_ids, held) for line, held in paid]
        return Planned(batch, member.endpoint.name, self._clock.now() + LONGEST, lines)

    def _taker(self) -> Member | None:
        """Give the endpoint whose turn it is, of the small models where any of them takes batches."""
        takers = [member for member in self._members().values() if member.endpoint.batch]
        takers = [member for member in takers if member.endpoint.tier is Tier.SMALL] or takers
        return takers[self._turn % len(takers)] if takers else None

    # -- in the event loop ---------------------------------------------------------------------------------------------

    async def _pay(self, member: Member, lines: Sequence[Packed]) -> list[tuple[Packed, Held]]:
        """Set aside what each line costs at the most; leave out those of tenants that have too little."""
        price, endpoint = member.price.halved(), member.endpoint
        paid: list[tuple[Packed, Held]] = []
        for line in lines:
            if line.tenant in self._broke:
                continue
            most = line.output_tokens + endpoint.reasoning_tokens
            usd = price.most(request_bytes(line.prompt.system, line.prompt.user, Answers), most)
            try:
                paid.append((line, await self._door.hold(line.tenant, usd)))
            except BudgetSpentError as error:
                log.info("summaries go on waiting for a batch: %s", error)
                self._broke[line.tenant] = self._clock.monotonic() + BROKE_S
            except BudgetAwayError as error:
                log.warning("summaries go on waiting for a batch: %s", error)
                break
        return paid

    async def _tend(self, batch: Open) -> Placed | Ended | None:
        """Go on with a batch."""
        member = self._members().get(batch.endpoint)
        step: Placed | Ended | None = None
        if member is not None:
            try:
                async with asyncio.timeout(TEND_S), self._connect(member.endpoint) as remote:
                    if batch.remote_id is None:
                        step = await self._place(remote, batch)
                    else:
                        step = await self._poll(remote, batch, batch.remote_id, member)
            except ConnectorError as error:
                log.warning("batch %s has to wait: %s", batch.id, error)
            except TimeoutError:
                log.warning("batch %s has to wait: %s took longer than %g s", batch.id, batch.endpoint, TEND_S)
        if step is None and batch.created < self._clock.now() - GIVEN_UP_AFTER:
            step = ended(batch, "lost", [], model="" if member is None else member.endpoint.model, price=FREE)
        if isinstance(step, Ended):
            self._tell(batch, step)
        return step

    async def _place(self, remote: Remote, batch: Open) -> Placed | Ended | None:
        """Have the endpoint take a batch; one that it may have already is looked for there."""
        questions = self._unsent.pop(batch.id, None)
        if questions is not None:
            try:
                return Placed(await remote.submit(batch.id, questions, Answers))
            except RefusedRequestError as error:
                log.warning("no batches there: %s", error)
                return Ended("refused")
        found = await remote.find(batch.id)
        if found is not None:
            return Placed(found)
        return Ended("freed") if batch.created < self._clock.now() - SHOWS_WITHIN else None

    @staticmethod
    async def _poll(remote: Remote, batch: Open, remote_id: str, member: Member) -> Ended | None:
        """Look whether a batch has ended, and read what has come of it."""
        finish = partial(ended, batch, model=member.endpoint.model, price=member.price.halved())
        try:
            status = await remote.look(remote_id)
            if status.ended is None:
                return None
            results = [one for file in status.files for one in await remote.results(file, Answers)]
        except RefusedRequestError as error:
            if error.status != _NOT_FOUND:
                raise
            log.warning("batch %s is gone: %s", batch.id, error)
            return finish("lost", [])
        return finish(status.ended, results)

    @staticmethod
    def _tell(batch: Open, step: Ended) -> None:
        answered = sum(one.answer is not None for one in step.answers)
        windows = sum(line.windows for line in batch.lines.values())
        log.info(
            "batch %s at %s has ended (%s): %d of %d windows answered",
            batch.id,
            batch.endpoint,
            step.outcome,
            answered,
            windows,
        )
        metrics.BATCHES.labels(batch.endpoint, step.outcome).inc()
        metrics.BATCH_WINDOWS.labels(batch.endpoint, "answered").inc(answered)
        metrics.BATCH_WINDOWS.labels(batch.endpoint, "unanswered").inc(windows - answered)
        for spent in step.spent:
            metrics.MODEL_TOKENS.labels(batch.endpoint, "prompt").inc(spent.prompt_tokens)
            metrics.MODEL_TOKENS.labels(batch.endpoint, "completion").inc(spent.completion_tokens)
            metrics.MODEL_USD.labels(batch.endpoint).inc(float(spent.usd))
