"""Copies of records, with the headers that say what they are copies of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import Message

from connectors.kafka.consumer import Chunk
from connectors.kafka.producer import Outgoing
from schemas.origin import headers, place
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

    Copies are marked with the replay's `secret`. `on_step` gets the checkpoint after each chunk, and how many records
    were read for it.
    """

    chooser: Chooser
    publisher: Publisher
    secret: bytes
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
        before, key, value = message.headers(), message.key(), message.value()
        known = self.chooser.origin(message) if before else None
        origin = _place(message, checkpoint) if known is None else known.place
        bears = headers(checkpoint.id.encode(), self.secret, origin, key, value)
        if before:
            bears = {name: said for name, said in dict(before).items() if isinstance(said, bytes)} | bears
        # What has no value is not chosen.
        return Outgoing(checkpoint.target, key, value or b"", bears)


def _place(message: Message, checkpoint: Checkpoint) -> bytes:
    _, accepted_ms = message.timestamp()
    return place(checkpoint.topic.encode(), message.partition() or 0, message.offset() or 0, accepted_ms)
