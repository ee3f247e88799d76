"""The ingest agent in its lane: Faust delivers batches, one thread works on them, and snapshots come in between."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from faust.types import TP

from connectors.clock import Clock
from connectors.kafka.settings import KafkaSettings
from schemas.topics import READINGS
from streams.agents.ingest import Ingest, merge
from streams.agents.pacing import SnapshotPacing
from streams.agents.records import raw_batch
from streams.lane.app import LaneApp, LaneOptions, lane_app, lane_topic

T = TypeVar("T")

# How often the database is asked to make partitions ahead and to drop old ones (the start does it, too).
UPKEEP_S = 3600.0


class IngestLane:
    """Keeps the positions of the partitions (`streams.lane.consumer.Keeper`) and works on their batches."""

    def __init__(self, ingest: Ingest, pacing: SnapshotPacing, *, batch_records: int, clock: Clock) -> None:
        """Nothing runs yet: `app` makes the Faust app that drives this."""
        self._ingest = ingest
        self._pacing = pacing
        self._batch_records = batch_records
        self._clock = clock
        # Everything that touches detector state or the connection happens on this one thread, in turn.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")
        self._kept_up = clock.monotonic()
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        self._generation: int | None = None
        self._app: LaneApp | None = None
        self._worker: asyncio.Task[None] | None = None
        self.broken = False

    def app(self, kafka: KafkaSettings, options: LaneOptions) -> LaneApp:
        """Make the Faust app, with the agent in it."""
        app = lane_app(kafka, options, self)
        topic = lane_topic(app, READINGS.name)
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
        if generation != self._generation:
            await self._run(lambda: self._ingest.take_over([(tp.topic, tp.partition) for tp in partitions]))
            self._generation = generation
        positions = await self._run(self._ingest.positions)
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
                batches = [raw_batch(event.value) for event in events]
                await self._run(lambda: self._ingest.process(merge(batches)))  # noqa: B023  # awaited right here
                for event in events:
                    event.ack()
            now = self._clock.monotonic()
            if self._pacing.due(now):
                await self._snapshot()
            if now - self._kept_up >= UPKEEP_S:
                self._kept_up = now
                await self._run(self._ingest.upkeep)

    async def _gather(self) -> list[Any]:
        """Take what is there, up to a batch, without waiting for more: thin traffic pays no latency for batching."""
        try:
            pause = self._pacing.wait(self._clock.monotonic(), unsaved=self._ingest.unsaved)
            async with asyncio.timeout(UPKEEP_S if pause is None else pause):
                events = [await self._waiting.get()]
        except TimeoutError:
            return []
        records = len(events[0].value)
        while records < self._batch_records and not self._waiting.empty():
            events.append(self._waiting.get_nowait())
            records += len(events[-1].value)
            await asyncio.sleep(0)  # let the agent put the next one
        return events

    async def _snapshot(self) -> None:
        started = self._clock.monotonic()
        covered = await self._run(self._ingest.snapshot)
        self._pacing.took(started, self._clock.monotonic())
        if self._app is not None:
            for (topic, number), offset in covered.items():
                self._app.release(TP(topic, number), offset)

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)
