"""Webhooks, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from connectors.clock import SystemClock
from connectors.kafka.producer import Producer
from connectors.timescale.deliveries import Deliveries
from connectors.timescale.insights import Announce
from connectors.webhooks.sender import Sender
from streams.agents.telling import Telling, announcing
from streams.agents.upkeep import Upkeep
from streams.settings import Settings

LOOK_EVERY_S, FORGET_EVERY_S = 1.0, 3600.0
# For how long it can be seen what became of a message.
KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """All webhooks of the settings."""

    announce: Announce
    upkeep: Sequence[Upkeep]
    deliveries: Deliveries
    senders: Sequence[Sender]

    async def close(self) -> None:
        """End all connections."""
        for sender in self.senders:
            await sender.close()
        await self.deliveries.close()


def build(settings: Settings, producer: Producer) -> Webhooks:
    """Put them together; nothing is connected yet."""
    clock, deliveries = SystemClock(), Deliveries(settings.database)
    senders = [Sender(hook, clock) for hook in settings.webhooks]
    upkeep: list[Upkeep] = []
    for hook, sender in zip(settings.webhooks, senders, strict=True):
        telling = Telling(hook, deliveries, sender, producer, clock, region=settings.region)
        upkeep.append(Upkeep(f"telling webhook {hook.name}", telling.look, every_s=LOOK_EVERY_S))

    async def forget() -> None:
        await deliveries.forget(clock.now() - KEPT)

    if settings.webhooks:
        upkeep.append(Upkeep("forgetting what webhooks were told", forget, every_s=FORGET_EVERY_S))
    return Webhooks(announcing(settings.webhooks), upkeep, deliveries, senders)
