"""The composition root: the one place that knows how the parts of a worker fit together."""

import asyncio
import os
import socket
from dataclasses import dataclass

from fastapi import FastAPI

from connectors.clock import SystemClock
from connectors.http.app import build
from connectors.http.parts import Check, Parts
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.llm.client import Model
from connectors.redis.client import connect as connect_redis
from connectors.timescale.reader import Reader
from connectors.timescale.store import Store
from streams.agents import analyze, ingest
from streams.agents.analyze import Analyst
from streams.agents.analyze_lane import GROUP as ANALYZE
from streams.agents.analyze_lane import AnalyzeLane
from streams.agents.ingest import Ingest
from streams.agents.ingest_lane import GROUP as INGEST
from streams.agents.ingest_lane import IngestLane
from streams.agents.pacing import SnapshotPacing
from streams.lane.app import LaneApp, LaneOptions
from streams.settings import Settings

# Without a model an answer costs a few milliseconds.
RULES_IN_FLIGHT = 4
WAITING_REQUESTS = 1000
REQUESTS_A_BATCH = 100


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
    steps = Ingest(
        ingest.Outside(store, producer, Admin(settings.kafka), clock),
        region=settings.region,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        detection=settings.ingest.detection,
    )
    pacing = SnapshotPacing(
        min_s=settings.ingest.snapshot_min_s,
        max_s=settings.ingest.snapshot_max_s,
        share=settings.ingest.snapshot_share,
    )
    lane = IngestLane(steps, pacing, batch_records=settings.ingest.batch_records, clock=clock)
    options = LaneOptions(group(settings, INGEST), settings.ingest.batch_records, without_position="none")
    return Lane(lane.app(settings.kafka, options), producer, store)


def analyze_lane(settings: Settings) -> Lane:
    """Put the slow lane together."""
    producer = Producer(settings.kafka)
    store = Store(settings.database)
    endpoints = settings.llm.endpoints
    model = Model(endpoints[0], settings.llm.timeout_s) if endpoints else None
    analyst = Analyst(analyze.Outside(store, producer, SystemClock(), model), region=settings.region)
    in_flight = endpoints[0].max_concurrent if endpoints else RULES_IN_FLIGHT
    lane = AnalyzeLane(analyst.handle, in_flight=in_flight, waiting=WAITING_REQUESTS)
    options = LaneOptions(group(settings, ANALYZE), REQUESTS_A_BATCH, without_position="earliest")
    return Lane(lane.app(settings.kafka, options), producer, store)


def gateway(settings: Settings) -> tuple[FastAPI, Producer]:
    """Put the gateway together; the producer is the caller's to close."""
    producer, reader, admin = Producer(settings.kafka), Reader(settings.database), Admin(settings.kafka)

    async def kafka() -> None:
        await asyncio.to_thread(admin.cluster_id)

    async def redis() -> None:
        await asyncio.to_thread(lambda: connect_redis(settings.redis).close())

    checks: dict[str, Check] = {"kafka": kafka, "database": reader.check}
    if settings.redis.url.get_secret_value():
        checks["redis"] = redis
    return build(Parts(producer, reader, checks)), producer
