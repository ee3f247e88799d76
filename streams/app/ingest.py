"""The fast lane, put together."""

import os
import socket
from functools import partial

from connectors.clock import SystemClock
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.timescale.store import Store
from schemas.topics import READINGS
from streams.agents.copies import Remembered
from streams.agents.ingest import Detection, Ingest, Outside
from streams.agents.ingest_lane import IngestLane
from streams.agents.pacing import SnapshotPacing
from streams.app.lane import Lane
from streams.lane.app import LaneOptions
from streams.settings import LaneName, Settings

# What is fetched at once: several of these make a full batch, and what waits to be taken is bounded by it.
FETCH_RECORDS = 5000
MIB = 1024 * 1024


def build(settings: Settings) -> Lane:
    """Put the lane together; nothing is connected yet."""
    clock = SystemClock()
    producer = Producer(settings.kafka)
    stores = [Store(settings.database) for _ in range(settings.ingest.connections)]
    asked = Store(settings.database)  # connects when a copy comes by, or the worker has to stop
    owner = f"{socket.gethostname()}:{os.getpid()}"
    known, alarm = Remembered(asked.known_replays), partial(asked.audit, owner)
    detection = Detection(
        settings.ingest.detection, settings.ingest.detection_full_mib * MIB, settings.ingest.poison_limit
    )
    steps = Ingest(
        Outside(stores, producer, Admin(settings.kafka), clock, known, alarm),
        region=settings.region,
        owner=owner,
        detection=detection,
    )
    pacing = SnapshotPacing(
        min_s=settings.ingest.snapshot_min_s,
        max_s=settings.ingest.snapshot_max_s,
        share=settings.ingest.snapshot_share,
    )
    lane = IngestLane(
        steps,
        pacing,
        batch_records=settings.ingest.batch_records,
        connections=settings.ingest.connections,
        clock=clock,
    )
    group = settings.kafka.group(LaneName.INGEST)
    options = LaneOptions(
        group, READINGS.name, min(settings.ingest.batch_records, FETCH_RECORDS), without_position="error"
    )
    return Lane(lane.app(settings.kafka, options), producer, [*stores, asked])
