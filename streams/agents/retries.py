"""Requests that no model had time for: put off in the table `tasks`, and asked again when they are due.

While one waits its record is done: neither its device's next request nor the partition's commits wait with it. When it
is due, whoever looks first publishes it again; it comes back through the topic, to whoever has its device by then.

However long every model is away, and however many alarms come meanwhile, there is a bound to all of this:
- A request is tried until `PATIENCE` is over, at delays that double: an alarm or a summary six times at the most, a
  question some fifteen times. After that rules answer. While all endpoints are left alone, which they are for up to a
  minute, the pool says for how long, and what would come too late then is answered by rules at once.
- While `MOST_WAITING` tasks wait for their turn, rules answer alarms and summaries at once. So no more of them wait,
  give or take what workers had in flight, and each comes back six times a minute at the most: some 200 a second.
  People's questions are put off all the same: they come as fast as people ask.
- A row stays when its task has ended, beside the insight that it ended with: `tasks` never has more of them than
  `insights`.
"""

import asyncio
import logging
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from connectors.clock import Clock
from connectors.kafka.producer import DeliveryError, Outgoing, Producer
from connectors.timescale import tasks
from connectors.timescale.store import Store
from connectors.timescale.tasks import Due
from schemas.models import AnalysisRequest
from schemas.topics import ANALYSIS_REQUESTS
from streams.agents.lookup import is_needed

log = logging.getLogger(__name__)

# The delay after the first attempt; it doubles from there. (An outage that is over sooner the pool waits for itself.)
FIRST_S: Final = 2.0
# The longest delay: about as long as an endpoint is left alone at the most, so one that is back is soon noticed.
LONGEST_S: Final = 60.0
# Up to this part of a delay is taken off, or put on a pause that an endpoint asked for: what was put off together does
# not come back together.
JITTER: Final = 0.25
# With how many tasks that wait for their turn alarms are put off no more: what an endpoint explains in a minute or two,
# 8 calls of 16 windows at once. When it is back, more would be in the way of what is new.
MOST_WAITING: Final = 2_000


class Kind(StrEnum):
    """What a request is."""

    ALARM = "alarm"
    SUMMARY = "summary"
    QUESTION = "question"


# How long after its first attempt a request may be tried again. An alarm is about now: what rules say of it in time is
# worth more than what a model says later. Summaries come by the thousand, and rules give the same figures. To what
# people ask rules have no answer; but nobody looks for one for longer than this.
PATIENCE: Final = {
    Kind.ALARM: timedelta(seconds=60),
    Kind.SUMMARY: timedelta(seconds=60),
    Kind.QUESTION: timedelta(minutes=10),
}


def kind_of(request: AnalysisRequest) -> Kind:
    """Say what a request is."""
    if request.question is not None:
        return Kind.QUESTION
    return Kind.SUMMARY if is_needed(request) else Kind.ALARM


def next_due(
    request: AnalysisRequest, *, attempts: int, since: datetime, asked_s: float | None, now: datetime
) -> datetime | None:
    """Say when a request is tried again that has been tried so often, since then; None: not any more.

    `asked_s` is the pause that the endpoint asked for.
    """
    due = now + timedelta(seconds=delay_s(request.id, attempts, asked_s))
    return due if due <= since + PATIENCE[kind_of(request)] else None


def delay_s(key: str, attempts: int, asked_s: float | None) -> float:
    """Give the seconds to wait after so many attempts; the part that is chance is a function of them and the key."""
    chance = zlib.crc32(f"{key} {attempts}".encode()) / 2**32
    # Doubled more often it would be as long in any case, and could not be computed some day.
    doubled_s = min(FIRST_S * 2.0 ** min(attempts - 1, 16), LONGEST_S)
    return min(max(doubled_s * (1 - JITTER * chance), (asked_s or 0.0) * (1 + JITTER * chance)), LONGEST_S)


class Retries:
    """Publishes requests again when they are due. Any number of workers may: each is published by one of them."""

    # How often somebody looks.
    every_s: Final = 1.0

    def __init__(self, store: Store, producer: Producer, clock: Clock, *, topic: str = ANALYSIS_REQUESTS.name) -> None:
        """Nothing is connected yet. The store is its own, for it waits for Kafka; the producer may be shared."""
        self._store = store
        self._producer = producer
        self._clock = clock
        self._topic = topic
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="retries")

    async def look(self) -> bool:
        """Publish what is due, and say whether anything was; does not hold up the event loop.

        What Kafka does not take now stays due.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look)

    def _look(self) -> bool:
        now = self._clock.now()
        found = 0
        try:
            while page := self._store.queue_due_tasks(now, self._publish):
                found += page
                if page < tasks.PAGE:
                    break
        except DeliveryError as error:
            log.warning("requests that are due again have to wait: %s", error)
        return found > 0

    def _publish(self, page: Sequence[Due]) -> None:
        self._producer.publish([Outgoing(self._topic, due.device_id.encode(), due.request) for due in page])
