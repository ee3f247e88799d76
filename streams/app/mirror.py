"""The lane of other regions' records, put together: stored as they were accepted there, and never analysed twice."""

import os
import socket
from collections.abc import Collection, Mapping

from connectors.clock import SystemClock
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.timescale.store import Store
from schemas.origin import shared_secret
from schemas.topics import INSIGHTS, READINGS
from streams.agents.copies import Known, nobody
from streams.agents.ingest import Detection, Ingest, Outside
from streams.agents.ingest_lane import IngestLane
from streams.agents.mirroring import MirroredInsights
from streams.app.ingest import FETCH_RECORDS, pacing
from streams.app.lane import Lane
from streams.lane.app import LaneOptions
from streams.settings import LaneName, Settings, SettingsError


def build(settings: Settings) -> Lane:
    """Put the lane together; nothing is connected yet.

    Raises:
        SettingsError: there are no other regions.

    """
    peers = settings.peers
    if not peers:
        raise SettingsError("TIDEGATE_REGIONS_FILE: this lane is for what other regions have accepted")
    readings, insights = ([topic.of(peer).name for peer in peers] for topic in (READINGS, INSIGHTS))
    producer = Producer(settings.kafka)
    stores = [Store(settings.database) for _ in range(settings.ingest.connections)]
    outside = Outside(stores, producer, Admin(settings.kafka), SystemClock(), known_of(settings))
    steps = Ingest(
        outside,
        region=settings.region,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        detection=Detection(on=False),
    )
    lane = IngestLane(
        steps,
        pacing(settings),
        batch_records=settings.ingest.batch_records,
        connections=settings.ingest.connections,
        clock=SystemClock(),
        topics=readings,
    )
    options = LaneOptions(
        settings.kafka.group(LaneName.MIRROR),
        [*readings, *insights],
        min(settings.ingest.batch_records, FETCH_RECORDS),
        without_position="earliest",
    )
    app = lane.app(settings.kafka, options)
    said = Store(settings.database)
    MirroredInsights(said, insights).join(app)
    return Lane(app, producer, [*stores, said])


def known_of(settings: Settings) -> Known:
    """Know the secrets of other regions' replays, if the regions share one."""
    shared = settings.shared
    if not shared:
        return nobody

    def known(replays: Collection[str]) -> Mapping[str, bytes]:
        return {replay: shared_secret(shared, replay) for replay in replays}

    return known
