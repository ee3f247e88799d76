"""The composition root: the one place that knows how the parts of a worker fit together."""

import os
import socket
from dataclasses import dataclass

from connectors.clock import SystemClock
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.timescale.store import Store
from streams.agents.ingest import Ingest, Outside
from streams.agents.ingest_lane import GROUP as INGEST
from streams.agents.ingest_lane import IngestLane
from streams.agents.pacing import SnapshotPacing
from streams.lane.app import LaneApp, LaneOptions
from streams.settings import Settings


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


def group(settings: Settings, lane: str) -> str:
    """Give the name of a lane's consumer group."""
    return f"{settings.kafka.group_prefix}-{lane}"


def ingest_lane(settings: Settings) -> Lane:
    """Put the fast lane together."""
    clock = SystemClock()
    producer = Producer(settings.kafka)
    store = Store(settings.database)
    ingest = Ingest(
        Outside(store, producer, Admin(settings.kafka), clock),
        region=settings.region,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        detection=settings.ingest.detection,
    )
    pacing = SnapshotPacing(
        min_s=settings.ingest.snapshot_min_s,
        max_s=settings.ingest.snapshot_max_s,
        share=settings.ingest.snapshot_share,
    )
    lane = IngestLane(ingest, pacing, batch_records=settings.ingest.batch_records, clock=clock)
    options = LaneOptions(group(settings, INGEST), settings.ingest.batch_records, without_position="none")
    return Lane(lane.app(settings.kafka, options), producer, store)
