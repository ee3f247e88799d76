"""The gateway, put together."""

import asyncio

from fastapi import FastAPI

from connectors.http import app
from connectors.http.parts import Check, Parts
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.redis.client import connect as connect_redis
from connectors.timescale.desk import Desk
from connectors.timescale.reader import Reader
from streams.settings import Settings


def build(settings: Settings) -> tuple[FastAPI, Producer]:
    """Put the gateway together; the producer is the caller's to close."""
    producer, reader, admin = Producer(settings.kafka), Reader(settings.database), Admin(settings.kafka)

    async def kafka() -> None:
        await asyncio.to_thread(admin.cluster_id)

    async def redis() -> None:
        await asyncio.to_thread(lambda: connect_redis(settings.redis).close())

    checks: dict[str, Check] = {"kafka": kafka, "database": reader.check}
    if settings.redis.url.get_secret_value():
        checks["redis"] = redis
    desk = Desk(settings.database)
    return app.build(Parts(producer, reader, desk, checks, region=settings.region)), producer
