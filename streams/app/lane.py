"""What it takes to run a lane."""

from dataclasses import dataclass

from connectors.kafka.producer import Producer
from connectors.timescale.store import Store
from streams.lane.app import LaneApp


@dataclass(frozen=True, slots=True)
class Lane:
    """A Faust app, and what has to be closed after it ended."""

    app: LaneApp
    producer: Producer
    store: Store

    def close(self) -> None:
        """Let go of everything outside."""
        self.producer.close()
        self.store.close()
