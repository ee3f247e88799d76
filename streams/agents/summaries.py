"""Summaries of every series, hour by hour or day by day: requests like any other, made on schedule.

Their ids are a function of the series and the period, so a period that is done again asks nothing new.
"""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from connectors.clock import Clock
from connectors.kafka.producer import DeliveryError, Outgoing, Producer
from connectors.timescale.schedules import Schedule, Series
from connectors.timescale.store import Store
from schemas.codec import encode
from schemas.fields import deterministic_id
from schemas.models import AnalysisRequest
from schemas.topics import ANALYSIS_REQUESTS

log = logging.getLogger(__name__)

# How long after its end a period waits for readings that are late.
SETTLE = timedelta(minutes=5)


class Every(StrEnum):
    """How long a summary is about."""

    HOUR = "hour"
    DAY = "day"


_LENGTHS = {Every.HOUR: timedelta(hours=1), Every.DAY: timedelta(days=1)}
KINDS = {Every.HOUR: "hourly-summary", Every.DAY: "daily-summary"}


class Summaries:
    """Asks for the summaries that are due. Any number of workers may: the database sees to it that one of them does."""

    # How often somebody looks.
    every_s: Final = 20.0

    def __init__(self, store: Store, producer: Producer, clock: Clock, *, region: str, every: Every) -> None:
        """Nothing is connected yet. The store is its own, the producer may be shared."""
        self._store = store
        self._producer = producer
        self._clock = clock
        self._region = region
        self._kind = KINDS[every]
        self._schedule = Schedule(f"{region}/{self._kind}", _LENGTHS[every], SETTLE)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="summaries")

    async def look(self) -> bool:
        """Ask for what is due, and say whether it was; does not hold up the event loop.

        What Kafka does not take now stays due.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look)

    def _look(self) -> bool:
        try:
            return self._store.run_schedule(self._schedule, self._clock.now(), self._request)
        except DeliveryError as error:
            log.warning("summaries have to wait: %s", error)
            return False

    def _request(self, start: datetime, pages: Iterator[list[Series]]) -> None:
        asked = 0
        for page in pages:
            self._producer.publish([self._outgoing(series, start) for series in page])
            asked += len(page)
        log.info("%d series: asked for a %s from %s on", asked, self._kind, start)

    def _outgoing(self, series: Series, start: datetime) -> Outgoing:
        device_id, metric = series.device_id, series.metric
        request = AnalysisRequest.of_table(
            request_id=deterministic_id("request", self._region, device_id, metric, self._kind, start.isoformat()),
            region=self._region,
            device_id=device_id,
            metric=metric,
            kind=self._kind,
            window=(start, start + self._schedule.length),
        )
        return Outgoing(ANALYSIS_REQUESTS.name, device_id.encode(), encode(request))
