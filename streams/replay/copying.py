"""Copies of records, with the headers that say what they are copies of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from confluent_kafka import Message

from connectors.kafka.consumer import Chunk
from connectors.kafka.producer import Outgoing
from schemas.origin import headers
from streams.replay.checkpoint import Checkpoint
from streams.replay.pace import Pace
from streams.replay.selection import Chooser


class Publisher(Protocol):
    """Who writes them (`connectors.kafka.bulk.BulkProducer`)."""

    def publish(self, records: Iterable[Outgoing]) -> None:
        """Write all records and wait until Kafka has confirmed each."""


@dataclass(frozen=True, slots=True)
class Copying:
    """Copies what is chosen, chunk by chunk: what was written is known to be so before the next is read.

    `on_step` gets the checkpoint after each chunk, and how many records were read for it.
    """

    chooser: Chooser
    publisher: Publisher
    pace: Pace
    on_step: Callable[[Checkpoint, int], None]

    def run(self, chunks: Iterable[Chunk], checkpoint: Checkpoint) -> Checkpoint:
        """Copy all; give the last checkpoint.

        Records of one partition are written in the order in which they stood. Whoever is stopped in a chunk, and goes
        on from the checkpoint, writes that chunk again.

        Raises: what `publish`, reading and choosing raise.

        """
        for chunk in chunks:
            chosen = self.chooser.chosen(chunk.records)
            if chosen:
                self.pace.wait(len(chosen))
                self.publisher.publish([self._copy(message, checkpoint) for message in chosen])
            checkpoint = checkpoint.after(chunk.positions, checkpoint.copied + len(chosen))
            self.on_step(checkpoint, len(chunk.records))
        return checkpoint

    def _copy(self, message: Message, checkpoint: Checkpoint) -> Outgoing:
        before = message.headers()
        if before:
            known = self.chooser.origin(message)
            bears = {name: value for name, value in dict(before).items() if isinstance(value, bytes)}
            bears |= _place(message, checkpoint) if known is None else replace(known, replay=checkpoint.id).headers()
        else:
            bears = _place(message, checkpoint)
        # What has no value is not chosen.
        return Outgoing(checkpoint.target, message.key(), message.value() or b"", bears)


def _place(message: Message, checkpoint: Checkpoint) -> dict[str, bytes]:
    number, offset, (_, accepted_ms) = message.partition() or 0, message.offset() or 0, message.timestamp()
    return headers(checkpoint.id.encode(), checkpoint.topic.encode(), number, offset, accepted_ms)
