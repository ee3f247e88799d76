"""What a gateway cannot do without: a POST read as JSON, a record written for each item, an answer when Kafka has all.

It checks nothing, writes readings as they came, and knows no keys: the limit beside which a gateway is measured. A
question becomes the record that workers read, and a row by which it could be asked after.
"""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import uvicorn
from confluent_kafka import Producer
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from psycopg_pool import AsyncConnectionPool

from schemas.codec import encode
from schemas.models import AnalysisRequest
from schemas.topics import ANALYSIS_REQUESTS, READINGS

CONNECTIONS = 2


def made(linger_ms: int) -> Producer:
    """Make a producer."""
    return Producer(
        {
            "bootstrap.servers": os.environ["TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"],
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": linger_ms,
        }
    )


producer, prompt = made(5), made(0)
rows = AsyncConnectionPool(
    os.environ["TIDEGATE_DATABASE__URL"],
    min_size=1,
    max_size=CONNECTIONS,
    kwargs={"autocommit": True, "options": "-c synchronous_commit=off"},
    open=False,
)


@asynccontextmanager
async def connected(_app: FastAPI) -> AsyncIterator[None]:
    """Hold the connections to the database."""
    async with rows:
        async with rows.connection() as connection:
            await connection.execute("create table if not exists asked (id uuid primary key, request bytea not null)")
        yield


app = FastAPI(lifespan=connected)


@app.get("/healthz")
async def healthz() -> JSONResponse:
    """Say that the process answers."""
    return JSONResponse({})


@app.post("/v1/readings")
async def readings(request: Request) -> JSONResponse:
    """Write all items, and answer when Kafka has confirmed them."""
    items = json.loads(await request.body())
    await written(producer, READINGS.name, [(item["device_id"].encode(), json.dumps(item).encode()) for item in items])
    return JSONResponse({"accepted": len(items)}, 202)


@app.post("/v1/tasks")
async def tasks(request: Request) -> JSONResponse:
    """Write the request and its row."""
    asked, now = json.loads(await request.body()), datetime.now(UTC)
    wanted = AnalysisRequest.of_table(
        request_id=str(uuid4()),
        region="",
        device_id=asked["device_id"],
        metric=asked["metric"],
        kind="question",
        window=(now - timedelta(hours=1), now),
        question=asked["question"],
    )
    record = encode(wanted)
    await written(prompt, ANALYSIS_REQUESTS.name, [(wanted.device_id.encode(), record)])
    async with rows.connection() as connection:
        await connection.execute("insert into asked values (%s, %s)", (wanted.id, record))
    return JSONResponse({"task_id": wanted.id}, 202)


async def written(producer: Producer, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
    """Write keys and values; return when Kafka has confirmed all."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    left = len(records)

    def reported(_error: object, _message: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            loop.call_soon_threadsafe(done.set)

    for key, value in records:
        producer.produce(topic, value, key, on_delivery=reported)
    await done.wait()


def poll(producer: Producer) -> None:
    """Bring in the reports of delivery."""
    while True:
        producer.poll(0.05)


if __name__ == "__main__":
    for one in (producer, prompt):
        threading.Thread(target=poll, args=(one,), daemon=True).start()
    uvicorn.run(app, port=int(os.environ["TIDEGATE_HTTP__PORT"]), log_config=None, access_log=False)
