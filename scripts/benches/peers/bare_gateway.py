"""What a gateway cannot do without: a POST read as JSON, a record written for each item, an answer when Kafka has all.

It checks nothing, writes the items as they came, and knows no keys: the limit beside which a gateway is measured.
"""

import asyncio
import json
import os
import threading

import uvicorn
from confluent_kafka import Producer
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from schemas.topics import READINGS

app = FastAPI()
producer = Producer(
    {
        "bootstrap.servers": os.environ["TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"],
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 5,
    }
)


@app.get("/healthz")
async def healthz() -> JSONResponse:
    """Say that the process answers."""
    return JSONResponse({})


@app.post("/v1/readings")
async def readings(request: Request) -> JSONResponse:
    """Write all items, and answer when Kafka has confirmed them."""
    items = json.loads(await request.body())
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    left = len(items)

    def reported(_error: object, _message: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            loop.call_soon_threadsafe(done.set)

    for item in items:
        producer.produce(READINGS.name, json.dumps(item).encode(), item["device_id"].encode(), on_delivery=reported)
    await done.wait()
    return JSONResponse({"accepted": len(items)}, 202)


def poll() -> None:
    """Bring in the reports of delivery."""
    while True:
        producer.poll(0.05)


if __name__ == "__main__":
    threading.Thread(target=poll, daemon=True).start()
    uvicorn.run(app, port=int(os.environ["TIDEGATE_HTTP__PORT"]), log_config=None, access_log=False)
