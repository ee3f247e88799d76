"""What goes to `dead-letters`, and how: with its original bytes, where it stood, and why."""

from collections.abc import Sequence

from connectors.clock import Clock
from connectors.kafka.producer import Outgoing
from connectors.timescale.writer import Conflict
from schemas.codec import encode
from schemas.fields import deterministic_id
from schemas.instants import from_micros
from schemas.models import DeadLetter, Reading
from schemas.topics import DEAD_LETTERS, INSIGHTS, READINGS
from streams.columns.batch import Poison, RawBatch


def of_poison(batch: RawBatch, poison: Sequence[Poison], *, stage: str, region: str, clock: Clock) -> list[Outgoing]:
    """Make a letter for each record that cannot be used; its id is its coordinates."""
    letters = []
    for found in poison:
        topic, partition, offset = _place(batch, found.position)
        key = batch.keys[found.position]
        letter = DeadLetter(
            id=deterministic_id("poison", region, topic, str(partition), str(offset)),
            region=region,
            stage=stage,
            reason=found.reason,
            detail=found.detail,
            topic=topic,
            partition=partition,
            offset=offset,
            accepted=from_micros(int(batch.accepted[found.position])),
            key=key,
            value=batch.values[found.position],
            created=clock.now(),
        )
        letters.append(Outgoing(DEAD_LETTERS.name, key, encode(letter)))
    return letters


def _place(batch: RawBatch, position: int) -> tuple[str, int, int]:
    """Give the coordinates of a record or, of a copy, those of what it is a copy of: its letter is the same one."""
    origin = batch.origins.get(position)
    if origin is not None:
        return origin.topic, origin.partition, origin.offset
    return batch.topic, batch.partition, int(batch.offsets[position])


def of_conflicts(conflicts: Sequence[Conflict], *, region: str, clock: Clock) -> list[Outgoing]:
    """Make a letter for each value that lost; its id is the device, the metric, the instant and the value."""
    letters = []
    for lost in conflicts:
        reading = Reading(device_id=lost.device_id, ts=lost.ts, metrics={lost.metric: lost.value})
        letter = DeadLetter(
            id=deterministic_id("conflict", lost.device_id, lost.metric, lost.ts.isoformat(), repr(lost.value)),
            region=region,
            stage="sink",
            reason="conflict",
            detail=f"{lost.metric} at {lost.ts.isoformat()}: {lost.standing!r} stands, {lost.value!r} lost",
            topic=READINGS.name,
            key=lost.device_id.encode(),
            value=encode(reading),
            created=clock.now(),
        )
        letters.append(Outgoing(DEAD_LETTERS.name, lost.device_id.encode(), encode(letter)))
    return letters


def of_undelivered(  # noqa: PLR0913  # each is a fact of its own
    hook: str, insight_id: str, device_id: str, body: str, *, error: str, region: str, clock: Clock
) -> Outgoing:
    """Make a letter for a message that a webhook has not taken; its id is the webhook and the insight."""
    key = device_id.encode()
    letter = DeadLetter(
        id=deterministic_id("webhook", hook, insight_id),
        region=region,
        stage="webhook",
        reason="undelivered",
        detail=f"{hook}: {error}",
        topic=INSIGHTS.name,
        key=key,
        value=body.encode(),
        headers={"webhook": hook.encode(), "webhook-id": insight_id.encode()},
        created=clock.now(),
    )
    return Outgoing(DEAD_LETTERS.name, key, encode(letter))
