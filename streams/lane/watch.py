"""Looks after a lane while it runs: that it moves, and that its topics are still those that it began with."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from connectors import metrics
from connectors.clock import Clock
from connectors.errors import UnreachableError
from connectors.kafka.admin import Admin, TopicState
from schemas.errors import TidegateError
from streams.lane.client import Partition
from streams.lane.watchdog import Watchdog

log = logging.getLogger(__name__)

LOOK_S = 5.0
IDLE_S = 60.0
# The store waits for a database for five minutes before it gives up; this is for what nobody foresaw.
BUSY_S = 900.0


class TopicChangedError(TidegateError):
    """The topic is gone, or another one has its name."""


class Watched(Protocol):
    """What is known of the client (`streams.lane.client.Client`)."""

    @property
    def positions(self) -> dict[Partition, int]:
        """Give the next record to deliver of each partition that is ours."""

    @property
    def busy(self) -> bool:
        """Say whether nobody asks for records at the moment."""


class Watch:
    """One lane's guard."""

    def __init__(self, admin: Admin, topics: Sequence[str], clock: Clock, watchdog: Watchdog | None = None) -> None:
        """Nothing is asked yet."""
        self._admin = admin
        self._topics = topics
        self._clock = clock
        self._watchdog = watchdog or Watchdog(idle_s=IDLE_S, busy_s=BUSY_S)
        self._ids: dict[str, str] = {}

    async def run(self, watched: Watched) -> None:
        """Look again and again, until there is something to complain about.

        Raises:
            StalledError: nothing moves although there is something to read.
            TopicChangedError: a topic was deleted, perhaps made anew.

        """
        while True:
            try:
                await self.look(watched)
            except UnreachableError as error:
                log.warning("Kafka does not answer: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self, watched: Watched) -> None:
        """Look once; raises what `run` does, and UnreachableError."""
        found = await asyncio.to_thread(self._admin.topics, self._topics)
        for topic in self._topics:
            self._check(topic, found.get(topic))
        positions = dict(watched.positions)
        bounds = await asyncio.to_thread(self._admin.bounds, positions) if positions else {}
        ends = {partition: bound.end for partition, bound in bounds.items()}
        metrics.UNREAD.clear()  # of partitions that went to others
        for (topic, number), position in positions.items():
            metrics.UNREAD.labels(topic, number).set(ends[topic, number] - position)
        self._watchdog.look(self._clock.monotonic(), positions, ends, busy=watched.busy)

    def _check(self, topic: str, found: TopicState | None) -> None:
        if found is None:
            raise TopicChangedError(f"The topic {topic} is gone: it was deleted while it was read.")
        before = self._ids.setdefault(topic, found.id)
        if found.id != before:
            raise TopicChangedError(
                f"The topic {topic} was deleted and made anew while it was read (its id was {before}, now it is "
                f"{found.id}): the marks in the database speak of the old one."
            )
