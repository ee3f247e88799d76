"""The fast lane, put together."""

import os
import socket
from collections.abc import Sequence
from functools import partial

from connectors.clock import SystemClock
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.timescale.earlier import Read, Since
from connectors.timescale.store import Store
from schemas.instants import from_micros
from schemas.topics import READINGS
from streams.agents.copies import Remembered
from streams.agents.ingest import Detection, Ingest, Outside
from streams.agents.ingest_lane import IngestLane
from streams.agents.pacing import SnapshotPacing
from streams.app.lane import Lane
from streams.detect.detector import Earlier, Newcomer
from streams.lane.app import LaneOptions
from streams.settings import LaneName, Settings

# What is fetched at once: several of these make a full batch, and what waits to be taken is bounded by it.
FETCH_RECORDS = 5000
MIB = 1024 * 1024
ASKED_AT_ONCE = 500


def build(settings: Settings) -> Lane:
    """Put the lane together; nothing is connected yet."""
    clock = SystemClock()
    producer = Producer(settings.kafka)
    stores = [Store(settings.database) for _ in range(settings.ingest.connections)]
    asked = Store(settings.database)  # connects when a copy comes by, or the worker has to stop
    owner = f"{socket.gethostname()}:{os.getpid()}"
    known, alarm = Remembered(asked.known_replays), partial(asked.audit, owner)
    # Who has spoken in another region has rows here.
    earlier = earlier_of(asked) if settings.peers else None
    detection = Detection(
        settings.ingest.detection, settings.ingest.detection_full_mib * MIB, settings.ingest.poison_limit
    )
    steps = Ingest(
        Outside(stores, producer, Admin(settings.kafka), clock, known, alarm, earlier),
        region=settings.region,
        owner=owner,
        detection=detection,
    )
    lane = IngestLane(
        steps,
        pacing(settings),
        batch_records=settings.ingest.batch_records,
        connections=settings.ingest.connections,
        clock=clock,
    )
    group = settings.kafka.group(LaneName.INGEST)
    options = LaneOptions(
        group, [READINGS.name], min(settings.ingest.batch_records, FETCH_RECORDS), without_position="error"
    )
    return Lane(lane.app(settings.kafka, options), producer, [*stores, asked])


def pacing(settings: Settings) -> SnapshotPacing:
    """Pace snapshots as the settings say."""
    return SnapshotPacing(
        min_s=settings.ingest.snapshot_min_s,
        max_s=settings.ingest.snapshot_max_s,
        share=settings.ingest.snapshot_share,
    )


def earlier_of(store: Store) -> Earlier:
    """Ask the rows what series have said before."""
    return partial(_earlier, store)


def _earlier(store: Store, newcomers: Sequence[Newcomer]) -> Sequence[Read]:
    """Ask about so many series at a time as is an answer of some megabytes."""
    asked = [Since(one.device_id, one.metric, from_micros(one.ts), from_micros(one.accepted)) for one in newcomers]
    parts = (asked[first : first + ASKED_AT_ONCE] for first in range(0, len(asked), ASKED_AT_ONCE))
    return [found for part in parts for found in store.earlier_readings(part)]
