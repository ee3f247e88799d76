"""What it takes to run a lane."""

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.kafka.producer import Producer
from connectors.timescale.store import Store
from streams.lane.app import LaneApp


@dataclass(frozen=True, slots=True)
class Lane:
    """A Faust app, and what has to be closed after it ended."""

    app: LaneApp
    producer: Producer
    stores: Sequence[Store]

    def close(self) -> None:
        """Let go of everything outside."""
        self.producer.close()
        for store in self.stores:
            store.close()
