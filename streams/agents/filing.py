"""What the database knows of requests, and what becomes of them: many at once, on a thread of its own."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connectors.clock import Clock
from connectors.timescale.batches import Item
from connectors.timescale.insights import Announce, nobody
from connectors.timescale.store import Store
from connectors.timescale.tasks import Postponed, Tried
from schemas.models import AnalysisRequest, Insight
from streams.agents.batches import LONGEST
from streams.agents.gathering import Gathering
from streams.agents.lookup import look_up
from streams.agents.retries import MOST_WAITING, Kind, kind_of
from streams.prompts.insight import insight_id


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a request that came before: its insight, how far it has come, and what a batch was asked."""

    stands: Insight | None = None
    tried: Tried | None = None
    item: Item | None = None

    def waits(self, now: datetime) -> bool:
        """Say whether it is to come again when a batch has ended."""
        return self.item is not None and self.item.state != "over" and self.tried is not None and self.tried.due > now


class Filing:
    """Reads and writes; for one event loop. Its methods raise what the store's do."""

    def __init__(self, store: Store, clock: Clock, ring: Callable[[str], None], announce: Announce = nobody) -> None:
        """Nothing is connected yet. The store is for one thread: this one's.

        `ring` tells who waits for a task; `announce` says who is to be told of an insight.
        """
        self._store = store
        self._announce = announce
        self._ring = ring
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="analyze")
        # Each is done for many at once.
        self.find = Gathering(self._find, self._thread).do
        self.look_up = Gathering(partial(look_up, store), self._thread).do
        self.store = Gathering(self._keep, self._thread).do
        self.put_off = Gathering(self._put_off, self._thread).do
        self._beginning = Gathering(self._begin, self._thread)
        self._postponing = Gathering(self._postpone, self._thread)
        self._deferring = Gathering(self._defer, self._thread)
        self._finishing = Gathering(self._finish, self._thread)
        self._failing = Gathering(self._fail, self._thread)

    async def open(self) -> None:
        """Connect."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.open)

    async def begin(self, request: AnalysisRequest) -> None:
        """Say that somebody works on a task."""
        await self._beginning.do(request)
        self._ring(request.id)

    async def postpone(self, postponed: Postponed) -> bool:
        """Say when a request is to be tried again, unless too many wait; say whether it is."""
        may = await self._postponing.do(postponed)
        self._ring(postponed.request.id)
        return may

    async def defer(self, request: AnalysisRequest, due: datetime) -> None:
        """Say from when on a task may be answered."""
        await self._deferring.do((request, due))
        self._ring(request.id)

    async def fail(self, request: AnalysisRequest, error: str) -> None:
        """Say that a task has no answer, and why."""
        await self._failing.do((request, error))
        self._ring(request.id)

    async def finish(self, task_id: str, insight_id: str) -> None:
        """Say that a task has been answered."""
        await self._finishing.do((task_id, insight_id))
        self._ring(task_id)

    def _find(self, requests: Sequence[AnalysisRequest]) -> list[Past]:
        stand = self._store.insights([insight_id(one) for one in requests])
        tried = self._store.tried_tasks([one.id for one in requests])
        items = self._store.batch_items([one.id for one in requests if one.id in tried])
        return [Past(stand.get(insight_id(one)), tried.get(one.id), items.get(one.id)) for one in requests]

    def _keep(self, answers: Sequence[tuple[AnalysisRequest, Insight]]) -> list[Insight | None]:
        """Give the insights that stand; none of questions that somebody ended while a model was asked."""
        asked = [request.id for request, _ in answers if request.question is not None]
        tried = self._store.tried_tasks(asked) if asked else {}
        ended = {task for task, one in tried.items() if one.ended}
        new = [answer for request, answer in answers if request.id not in ended]
        stand = self._store.store_insights(new, self._announce)
        return [stand.get(answer.id) for _, answer in answers]

    def _begin(self, requests: Sequence[AnalysisRequest]) -> list[None]:
        self._store.begin_tasks(requests, self._clock.now())
        return [None] * len(requests)

    def _postpone(self, wanted: Sequence[Postponed]) -> list[bool]:
        crowded = self._store.crowded(most=MOST_WAITING, now=self._clock.now())
        may = [not crowded or kind_of(one.request) is Kind.QUESTION for one in wanted]
        self._store.postpone_tasks(list(itertools.compress(wanted, may)), self._clock.now())
        return may

    def _defer(self, deferred: Sequence[tuple[AnalysisRequest, datetime]]) -> list[None]:
        self._store.defer_tasks(deferred, self._clock.now())
        return [None] * len(deferred)

    def _put_off(self, requests: Sequence[AnalysisRequest]) -> list[None]:
        now = self._clock.now()
        self._store.put_off(requests, now + LONGEST, now)
        return [None] * len(requests)

    def _finish(self, ends: Sequence[tuple[str, str]]) -> list[None]:
        self._store.finish_tasks(ends, self._clock.now())
        return [None] * len(ends)

    def _fail(self, failed: Sequence[tuple[AnalysisRequest, str]]) -> list[None]:
        self._store.fail_tasks(failed, self._clock.now())
        return [None] * len(failed)
