"""Looks after a lane while it runs: that it moves, and that its topic is still the one that it began with."""

import asyncio
import logging
from typing import Protocol

from connectors import metrics
from connectors.clock import Clock
from connectors.errors import UnreachableError
from connectors.kafka.admin import Admin
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

    def __init__(self, admin: Admin, topic: str, clock: Clock, watchdog: Watchdog | None = None) -> None:
        """Nothing is asked yet."""
        self._admin = admin
        self._topic = topic
        self._clock = clock
        self._watchdog = watchdog or Watchdog(idle_s=IDLE_S, busy_s=BUSY_S)
        self._topic_id: str | None = None

    async def run(self, watched: Watched) -> None:
        """Look again and again, until there is something to complain about.

        Raises:
            StalledError: nothing moves although there is something to read.
            TopicChangedError: the topic was deleted, perhaps made anew.

        """
        while True:
            try:
                await self.look(watched)
            except UnreachableError as error:
                log.warning("Kafka does not answer: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self, watched: Watched) -> None:
        """Look once; raises what `run` does, and UnreachableError."""
        found = (await asyncio.to_thread(self._admin.topics, [self._topic])).get(self._topic)
        if found is None:
            raise TopicChangedError(f"The topic {self._topic} is gone: it was deleted while it was read.")
        if self._topic_id is None:
            self._topic_id = found.id
        if found.id != self._topic_id:
            raise TopicChangedError(
                f"The topic {self._topic} was deleted and made anew while it was read (its id was {self._topic_id}, "
                f"now it is {found.id}): the marks in the database speak of the old one."
            )
        positions = dict(watched.positions)
        bounds = await asyncio.to_thread(self._admin.bounds, positions) if positions else {}
        ends = {partition: bound.end for partition, bound in bounds.items()}
        metrics.UNREAD.clear()  # of partitions that went to others
        for (topic, number), position in positions.items():
            metrics.UNREAD.labels(topic, number).set(ends[topic, number] - position)
        self._watchdog.look(self._clock.monotonic(), positions, ends, busy=watched.busy)
