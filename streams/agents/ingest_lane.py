"""The ingest agent in its lane: while one batch is stored, the next is prepared; snapshots come in between.

A thread that prepares, and one that stores for each connection to the database, each for one thing at a time. What has
been prepared is handed to the storing threads by the preparing one, so that all work in the order of the log, and
whatever goes through all threads finds nothing in between.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain
from typing import Any, TypeVar

from faust.types import TP

from connectors import metrics
from connectors.clock import Clock
from connectors.kafka.settings import KafkaSettings
from schemas.topics import READINGS
from streams.agents.ingest import Ingest, merge
from streams.agents.pacing import SnapshotPacing
from streams.agents.records import raw_batch
from streams.agents.storing import Prepared
from streams.lane.app import LaneApp, LaneOptions, lane_app, lane_topic

T = TypeVar("T")

# How often the database is asked to make partitions ahead and to drop old ones (the start does it, too).
UPKEEP_S = 3600.0
# How many events may wait to be joined into a batch.
WAITING_BATCHES = 8
# How many batches a connection may have: the one that is being stored, and one that waits for its turn.
IN_HAND = 2


class IngestLane:
    """Keeps the positions of the partitions (`streams.lane.consumer.Keeper`) and works on their batches."""

    def __init__(
        self,
        ingest: Ingest,
        pacing: SnapshotPacing,
        *,
        batch_records: int,
        connections: int,
        clock: Clock,
        topics: Sequence[str] = (READINGS.name,),
    ) -> None:
        """Nothing runs yet: `app` makes the Faust app that drives this."""
        self._ingest = ingest
        self._topics = topics
        self._pacing = pacing
        self._batch_records = batch_records
        self._clock = clock
        self._preparing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")
        self._storing = [ThreadPoolExecutor(max_workers=1, thread_name_prefix="store") for _ in range(connections)]
        # Of each connection, what has not been stored yet.
        self._in_hand: list[set[asyncio.Future[None]]] = [set() for _ in range(connections)]
        metrics.BATCHES_IN_HAND.set_function(lambda: sum(map(len, self._in_hand)))
        self._acknowledging: set[asyncio.Task[None]] = set()
        self._kept_up = clock.monotonic()
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(maxsize=WAITING_BATCHES)
        self._generation: int | None = None
        self._app: LaneApp | None = None
        self._worker: asyncio.Task[None] | None = None
        self.broken = False

    def app(self, kafka: KafkaSettings, options: LaneOptions) -> LaneApp:
        """Make the Faust app, with the agent in it."""
        app = lane_app(kafka, options, self)
        topic = lane_topic(app, *self._topics)
        self._app = app

        @app.agent(topic, name="ingest")  # type: ignore[untyped-decorator]  # Faust has no types that mypy can follow
        async def ingest(stream: Any) -> None:  # noqa: ANN401  # a Faust stream
            self._start_work()
            # noack: a batch counts as processed when it was worked on, not when the next one is asked for.
            async for event in stream.noack().events():
                await self._waiting.put(event)

        return app

    # -- streams.lane.consumer.Keeper ----------------------------------------------------------------------------------

    async def take_over(self, partitions: frozenset[TP], generation: int) -> Mapping[TP, int]:
        """Claim the partitions of a new generation; within one, go on where we are."""
        ours = [(tp.topic, tp.partition) for tp in partitions if tp.topic in self._topics]
        if generation != self._generation:
            await self._between(lambda: self._ingest.take_over(ours))
            self._generation = generation
        positions = await self._between(self._ingest.positions)
        return {TP(topic, number): offset for (topic, number), offset in positions.items()}

    async def leave(self) -> None:
        """Write the last snapshot of what is ours."""
        await self._snapshot()

    # -- work ----------------------------------------------------------------------------------------------------------

    def _start_work(self) -> None:
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="ingest-work")
            self._worker.add_done_callback(self._ended)

    def _ended(self, worker: "asyncio.Task[None]") -> None:
        if worker.cancelled() or worker.exception() is None or self._app is None:
            return
        self.broken = True
        crash = self._app.crash(worker.exception())
        self._crash = asyncio.get_running_loop().create_task(crash)  # kept, or the loop may forget it

    async def _work(self) -> None:
        while True:
            events = await self._gather()
            if events:
                await self._take(events)
            now = self._clock.monotonic()
            if self._pacing.due(now):
                await self._snapshot()
            if now - self._kept_up >= UPKEEP_S:
                self._kept_up = now
                await self._between(self._ingest.upkeep)

    async def _take(self, events: Sequence[Any]) -> None:
        """Prepare a batch while those before it are stored, and let it be stored after them."""

        def prepare() -> "dict[int, Future[None]]":
            batches = [raw_batch(event.value) for event in events]
            parts: dict[int, list[Prepared]] = defaultdict(list)
            for prepared in self._ingest.prepare(merge(batches)):
                parts[prepared.partition.connection].append(prepared)
            return {number: self._storing[number].submit(self._ingest.store, part) for number, part in parts.items()}

        submitted = await asyncio.get_running_loop().run_in_executor(self._preparing, prepare)
        storing = {number: asyncio.wrap_future(future) for number, future in submitted.items()}
        for number, stored in storing.items():
            self._in_hand[number].add(stored)
            stored.add_done_callback(self._in_hand[number].discard)
        acknowledging = asyncio.get_running_loop().create_task(self._acknowledge(storing.values(), events))
        self._acknowledging.add(acknowledging)
        acknowledging.add_done_callback(self._acknowledging.discard)
        acknowledging.add_done_callback(self._ended)
        for number in storing:
            while len(self._in_hand[number]) > IN_HAND:
                await asyncio.wait(self._in_hand[number], return_when=asyncio.FIRST_COMPLETED)

    @staticmethod
    async def _acknowledge(storing: "Iterable[asyncio.Future[None]]", events: Sequence[Any]) -> None:
        await asyncio.gather(*storing)
        for event in events:
            event.ack()

    async def _gather(self) -> list[Any]:
        """Take what is there, up to a batch.

        Thin traffic pays no latency for batching: nothing waits for more, except for its turn to be stored.
        """
        try:
            pause = self._pacing.wait(self._clock.monotonic(), unsaved=self._ingest.unsaved)
            async with asyncio.timeout(UPKEEP_S if pause is None else pause):
                events = [await self._waiting.get()]
        except TimeoutError:
            return []
        records = len(events[0].value)
        while records < self._batch_records and (event := await self._more()) is not None:
            events.append(event)
            records += len(event.value)
        return events

    async def _more(self) -> Any:  # noqa: ANN401  # a Faust event, or None
        """Give another event, if there is one before a connection is free."""
        if self._waiting.empty() and all(self._in_hand):
            getting = asyncio.ensure_future(self._waiting.get())
            await asyncio.wait({getting, *chain(*self._in_hand)}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            getting.cancel()
        return None if self._waiting.empty() else self._waiting.get_nowait()

    async def _snapshot(self) -> None:
        started = self._clock.monotonic()
        covered = await self._between(self._ingest.snapshot)
        self._pacing.took(started, self._clock.monotonic())
        if self._app is not None:
            for (topic, number), offset in covered.items():
                self._app.release(TP(topic, number), offset)

    async def _between(self, step: Callable[[], T]) -> T:
        """Run a step when whatever was prepared is stored, and before anything else is prepared."""

        def alone() -> T:
            wait([storing.submit(_nothing) for storing in self._storing])
            return step()

        return await asyncio.get_running_loop().run_in_executor(self._preparing, alone)


def _nothing() -> None:
    """Go through a thread that works in order: what came before is done."""
