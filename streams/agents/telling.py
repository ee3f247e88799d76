"""Tells webhooks of what is urgent: signed, tried again and again, and a dead letter at the end.

A message is stored with the insight that it tells of, so it is delivered at least once, and a crash repeats one at the
most: receivers know it again by its id. A webhook that fails or hangs holds up its own messages alone.
"""

import asyncio
import logging
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from connectors import metrics
from connectors.clock import Clock
from connectors.kafka.producer import DeliveryError, Producer
from connectors.timescale.deliveries import Deliveries, Delivery, Fared, Taken
from connectors.timescale.insights import Announce
from connectors.webhooks.message import of_insight
from connectors.webhooks.sender import Outcome, Sender
from connectors.webhooks.settings import DELAYS_S, Webhook
from schemas.models import Insight
from streams.agents import letters

log = logging.getLogger(__name__)

# How many messages are on their way to a webhook at once.
AT_ONCE: Final = 16
# Up to this part is added to a delay: what failed together does not come back together.
JITTER: Final = 0.25
# What died while Kafka took no dead letter is tried once more after that time.
AGAIN: Final = timedelta(seconds=60)


def announcing(hooks: Sequence[Webhook]) -> Announce:
    """Give what says which of them are to be told of an insight."""

    def announce(insight: Insight) -> Sequence[Delivery]:
        told = [hook for hook in hooks if hook.wants(insight)]
        body = of_insight(insight) if told else ""
        return [Delivery(hook.name, insight.id, insight.device_id, body, insight.created) for hook in told]

    return announce


class Telling:
    """Delivers one webhook's messages. Any number of workers may: each message is in the hands of one of them."""

    def __init__(
        self, hook: Webhook, deliveries: Deliveries, sender: Sender, producer: Producer, clock: Clock, *, region: str
    ) -> None:
        """Nothing is sent yet. The deliveries and the producer may be shared."""
        self._hook = hook
        self._deliveries = deliveries
        self._sender = sender
        self._producer = producer
        self._clock = clock
        self._region = region
        self._fails = False

    async def look(self) -> None:
        """Try all that is due once. Raises what `Deliveries` does."""
        while page := await self._deliveries.take(self._hook.name, self._clock.now(), limit=AT_ONCE):
            fared = await asyncio.gather(*map(self._try, page))
            await self._deliveries.settle(self._hook.name, fared, self._clock.now())

    async def _try(self, taken: Taken) -> Fared:
        outcome = await self._sender.send(taken.id, taken.body)
        now = self._clock.now()
        due = next_due(taken, outcome, self._hook.attempts, now)
        self._note(outcome)
        if outcome.error is None:
            self._count("delivered")
            return Fared(taken.id, "delivered", now, None)
        if due is None:
            if not await self._give_up(taken, outcome.error):
                return Fared(taken.id, "waiting", now + AGAIN, outcome.error)
            self._count("dead")
            return Fared(taken.id, "dead", now, outcome.error)
        self._count("failed")
        return Fared(taken.id, "waiting", due, outcome.error)

    async def _give_up(self, taken: Taken, error: str) -> bool:
        """Write a dead letter, and say whether Kafka has it."""
        letter = letters.of_undelivered(
            self._hook.name,
            taken.id,
            taken.device_id,
            taken.body,
            error=error,
            region=self._region,
            clock=self._clock,
        )
        try:
            await self._producer.publish_soon([letter])
        except DeliveryError as failed:
            log.warning("the dead letter of a message for webhook %s has to wait: %s", self._hook.name, failed)
            return False
        about = {"webhook": self._hook.name, "insight": taken.id, "device": taken.device_id}
        log.error("webhook %s was not told of insight %s: %s", self._hook.name, taken.id, error, extra=about)
        return True

    def _note(self, outcome: Outcome) -> None:
        """Log that it begins to fail, and that it works again; not each attempt."""
        fails = outcome.error is not None
        if fails != self._fails:
            log.warning("webhook %s: %s", self._hook.name, outcome.error or "works again")
        self._fails = fails

    def _count(self, outcome: str) -> None:
        metrics.WEBHOOK_ATTEMPTS.labels(self._hook.name, outcome).inc()


def next_due(taken: Taken, outcome: Outcome, attempts: int, now: datetime) -> datetime | None:
    """Say when a message that has not arrived is tried again; None: not any more."""
    if outcome.is_final or taken.attempts >= attempts:
        return None
    chance = zlib.crc32(f"{taken.id} {taken.attempts}".encode()) / 2**32
    delay_s = max(DELAYS_S[taken.attempts - 1], outcome.pause_s) * (1 + JITTER * chance)
    return now + timedelta(seconds=delay_s)
