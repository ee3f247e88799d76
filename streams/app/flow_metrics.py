"""The flow as a gateway tells Prometheus of it: lag, queues and budgets, also while no worker runs that could."""

import asyncio
import logging
from typing import Final, Self

import psycopg

from connectors import metrics
from connectors.clock import Clock, SystemClock
from schemas.errors import TidegateError
from streams.observe import Observer
from streams.settings import Settings

log = logging.getLogger(__name__)

EVERY_S: Final = 15.0


class FlowMetrics:
    """Looks every few seconds as long as it is open. What it saw last stays, with the time of it, when a look fails."""

    def __init__(self, settings: Settings, clock: Clock | None = None, *, every_s: float = EVERY_S) -> None:
        """Nothing is connected yet."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._every_s = every_s
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._looking = asyncio.get_running_loop().create_task(self._look_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_on(self) -> None:
        fails = False
        while True:
            try:
                await asyncio.to_thread(self.look)
                fails = False
            except (TidegateError, psycopg.Error) as error:
                if not fails:
                    log.warning("the flow cannot be looked at: %s", error)
                fails = True
            await asyncio.sleep(self._every_s)

    def look(self) -> None:
        """Look once. Raises: what the observer does."""
        with Observer(self._settings) as observer:
            lags, topics, waiting = observer.lags(), observer.topics(), observer.postponed()
            beats = observer.heartbeats()
            deliveries, granted, stops = observer.deliveries(), observer.granted(), len(observer.poison_alarms())
        metrics.GROUP_LAG.clear()  # of partitions and groups that are no more
        for (group, topic, number), behind in lags.items():
            metrics.GROUP_LAG.labels(group, topic, number).set(behind)
        for topic, records in topics.items():
            metrics.TOPIC_RECORDS.labels(topic).set(records)
        for home, beat in beats.items():
            metrics.HEARTBEAT.labels(home).set(0 if beat is None else beat.timestamp())
        metrics.TASKS_WAITING.set(waiting)
        metrics.DELIVERIES.clear()
        for (hook, state), messages in deliveries.items():
            metrics.DELIVERIES.labels(hook, state).set(messages)
        metrics.BUDGET_USD.set(float(self._settings.llm.budget_usd_per_day or 0))
        metrics.GRANTED_USD.set(float(granted.get("total", 0)))
        metrics.POISON_STOPS.set(stops)
        metrics.SEEN.set(self._clock.now().timestamp())
