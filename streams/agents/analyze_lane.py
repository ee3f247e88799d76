"""The analyze agent in its lane: many devices at once, each in order, commits that never pass unfinished work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from faust.types import TP

from connectors import metrics
from connectors.kafka.settings import KafkaSettings
from schemas.topics import ANALYSIS_REQUESTS
from streams.agents.records import Record
from streams.keyed import KeyedWork
from streams.lane.app import LaneApp, LaneOptions, lane_app, lane_topic

# Before partitions go, answers that are nearly there may come in; longer, and a rebalance would wait for a model.
SETTLE_S = 2.0


class Worker(Protocol):
    """Who does the work (`streams.agents.analyze.Analyst`)."""

    async def start(self) -> None:
        """Be ready to work."""

    async def handle(self, record: Record) -> None:
        """Take one record through all steps."""


class Schedule(Protocol):
    """Who asks for what is due (`streams.agents.retries.Retries`, `streams.agents.summaries.Summaries`)."""

    @property
    def every_s(self) -> float:
        """How often it is looked at."""

    async def look(self) -> bool:
        """Ask for what is due."""


class AnalyzeLane:
    """Keeps the positions of the partitions (`streams.lane.consumer.Keeper`) and works on their requests."""

    def __init__(self, analyst: Worker, *, in_flight: int, waiting: int, schedules: Sequence[Schedule] = ()) -> None:
        """Nothing runs yet: `app` makes the Faust app that drives this."""
        self._analyst = analyst
        self._schedules = schedules
        self._work: KeyedWork[TP, Record] = KeyedWork(
            self._guard(analyst.handle), self._release, in_flight=in_flight, waiting=waiting
        )
        metrics.REQUESTS_IN_HAND.set_function(lambda: len(self._work))
        self._app: LaneApp | None = None
        self.broken = False

    def app(self, kafka: KafkaSettings, options: LaneOptions) -> LaneApp:
        """Make the Faust app, with the agent in it."""
        app = lane_app(kafka, options, self)
        topic = lane_topic(app, ANALYSIS_REQUESTS.name)
        self._app = app

        @app.agent(topic, name="analyze")  # type: ignore[untyped-decorator]  # Faust has no types that mypy can follow
        async def analyze(stream: Any) -> None:  # noqa: ANN401  # a Faust stream
            async for event in stream.noack().events():
                # Commits follow `release`; what is dropped from here on is delivered again to the next owner.
                event.ack()
                for record in event.value:
                    if not await self._work.submit(event.message.tp, record.offset(), record.key() or b"", record):
                        break

        for schedule in self._schedules:
            app.task()(partial(self._look_at, schedule))
        return app

    # -- streams.lane.consumer.Keeper ----------------------------------------------------------------------------------

    async def take_over(self, _partitions: frozenset[TP], _generation: int) -> Mapping[TP, int]:
        """Start from the committed offsets, with nothing in hand."""
        await self._work.drop()
        await self._analyst.start()
        return {}

    async def leave(self) -> None:
        """Let answers that are nearly there come in; the others are asked for again by the next owner."""
        await self._work.settle(SETTLE_S)

    # ------------------------------------------------------------------------------------------------------------------

    async def _look_at(self, schedule: Schedule) -> None:
        try:
            while True:
                await schedule.look()
                await asyncio.sleep(schedule.every_s)
        except Exception as error:  # noqa: BLE001  # whatever it is, nobody would ask for what is due from here on
            if self._app is not None:
                await self._app.crash(error)

    def _release(self, tp: TP, offset: int) -> None:
        if self._app is not None:
            self._app.release(tp, offset)

    def _guard(self, handle: Callable[[Record], Awaitable[None]]) -> Callable[[Record], Awaitable[None]]:
        """End the worker when a request fails in a way that nobody foresaw: it must not be passed over."""

        async def guarded(record: Record) -> None:
            try:
                await handle(record)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self.broken = True
                if self._app is not None:
                    await self._app.crash(error)
                raise

        return guarded
