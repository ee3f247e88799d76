"""The gateway, put together."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from fastapi import FastAPI

from connectors.clock import SystemClock
from connectors.http import app
from connectors.http.parts import Parts
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.redis.bell import Bell
from connectors.redis.client import connect as connect_redis
from connectors.redis.results import Results
from connectors.timescale import erasure
from connectors.timescale.connection import connect
from connectors.timescale.desk import Desk
from connectors.timescale.keys import KeyRing
from connectors.timescale.reader import Reader
from connectors.timescale.settings import DatabaseSettings
from streams.app.flow_metrics import FlowMetrics
from streams.app.overview import Overview
from streams.app.remarks import Remarks
from streams.settings import Settings


def build(settings: Settings) -> tuple[FastAPI, Sequence[Producer]]:
    """Put the gateway together; the producers are the caller's to close."""
    producer, reader, admin = Producer(settings.kafka), Reader(settings.database), Admin(settings.kafka)

    async def kafka() -> None:
        await asyncio.to_thread(admin.cluster_id)

    async def redis() -> None:
        await asyncio.to_thread(lambda: connect_redis(settings.redis).close())

    parts = Parts(producer, reader, Desk(settings.database), {"kafka": kafka, "database": reader.check})
    parts = replace(parts, region=settings.region, keys=None if settings.http.open else KeyRing(settings.database))
    if settings.redis.url.get_secret_value():
        bell = Bell(settings.redis)
        results = Results(settings.redis, SystemClock(), kept_s=settings.http.results_s)
        parts = replace(
            parts, checks={**parts.checks, "redis": redis}, bell=bell, results=results, beside=(bell, results)
        )
    prompt, overview, remarks = Producer(settings.kafka, linger_ms=0), Overview(settings), Remarks(settings)

    async def erase(device_id: str, who: str) -> Mapping[str, int]:
        return await asyncio.to_thread(_erase, settings.database, device_id, who)

    beside: Sequence[AbstractAsyncContextManager[object]] = (*parts.beside, overview, remarks, FlowMetrics(settings))
    parts = replace(parts, prompt_producer=prompt, overview=overview, remarks=remarks, erase=erase, beside=beside)
    return app.build(parts), (producer, prompt)


def _erase(settings: DatabaseSettings, device_id: str, who: str) -> Mapping[str, int]:
    with connect(settings, autocommit=True) as connection:
        return erasure.erase(connection, device_id, who)
