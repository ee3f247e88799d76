"""Insights of other regions: stored here, too, and told nobody. They were published, and acted upon, at home."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from faust.types import TP

from connectors import metrics
from connectors.timescale.store import Store
from schemas.codec import decode
from schemas.errors import PoisonError
from schemas.models import Insight
from schemas.topics import home_of
from streams.agents.records import Record
from streams.lane.app import LaneApp, lane_topic

log = logging.getLogger(__name__)


class MirroredInsights:
    """Takes batches of other regions' insights; an id that is there stays what it is, so repeating changes nothing."""

    def __init__(self, store: Store, topics: Sequence[str]) -> None:
        """Nothing is connected yet."""
        self._store = store
        self._topics = topics
        self._storing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="insights")

    def join(self, app: LaneApp) -> None:
        """Give an app the agent that works on them; a position is the group's committed offset."""
        topic = lane_topic(app, *self._topics)

        @app.agent(topic, name="insights")  # type: ignore[untyped-decorator]  # Faust has no types that mypy can follow
        async def insights(stream: Any) -> None:  # noqa: ANN401  # a Faust stream
            async for event in stream.noack().events():
                await asyncio.get_running_loop().run_in_executor(self._storing, self.take, event.value)
                event.ack()
                last = event.value[-1]
                app.release(TP(last.topic(), last.partition()), last.offset() + 1)

    def take(self, records: Sequence[Record]) -> None:
        """Store a batch; what cannot be read is counted, and stays in its region's topic.

        Raises: what `Store.store_insights` raises.

        """
        found: dict[str, Insight] = {}
        for record in records:
            home = home_of(record.topic())
            try:
                insight = decode(record.value() or b"", Insight)
            except PoisonError as error:
                metrics.POISON.labels("mirror", error.reason).inc()
                log.warning("an insight at %s[%d] offset %d cannot be read: %s", *_place(record), error)
                continue
            metrics.MIRRORED_INSIGHTS.labels(home).inc()
            found.setdefault(insight.id, insight)
        if found:
            self._store.store_insights(list(found.values()))


def _place(record: Record) -> tuple[str, int, int]:
    return record.topic(), record.partition(), record.offset()
