"""FastStream on confluent-kafka: a batch subscriber that writes with COPY BINARY.

After https://faststream.ag2.ai/latest/confluent/Consumer/ (batches) and /getting-started/serialization/ (decoder).
"""

import asyncio
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import psycopg
from faststream import AckPolicy, FastStream  # type: ignore[import-not-found]  # of the peer's environment
from faststream.confluent import KafkaBroker, KafkaMessage  # type: ignore[import-not-found]  # the same

FRAME = 5
BATCH = 20_000
COPY = "copy readings (ts, device_id, metric, value, accepted) from stdin (format binary)"
TYPES = ("timestamptz", "text", "text", "float8", "timestamptz")

schema = fastavro.parse_schema(json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8")))
broker = KafkaBroker(os.environ["BENCH_KAFKA"])
app = FastStream(broker)
connections: list[psycopg.AsyncConnection[Any]] = []


async def decode(message: KafkaMessage) -> list[tuple[object, ...]]:
    """Decode a batch of messages to rows."""
    rows: list[tuple[object, ...]] = []
    for raw in message.raw_message:
        body = io.BytesIO(raw.value())
        body.seek(FRAME)
        reading: Any = fastavro.schemaless_reader(body, schema)
        accepted = datetime.fromtimestamp(raw.timestamp()[1] / 1000, UTC)
        rows += [
            (reading["ts"], reading["device_id"], name, value, accepted) for name, value in reading["metrics"].items()
        ]
    return rows


@app.on_startup  # type: ignore[untyped-decorator]
async def connect() -> None:
    """Open the connection."""
    connections.append(await psycopg.AsyncConnection.connect(os.environ["BENCH_DATABASE"]))


@broker.subscriber(  # type: ignore[untyped-decorator]
    "readings",
    group_id=os.environ["BENCH_GROUP"],
    auto_offset_reset="earliest",
    batch=True,
    max_records=BATCH,
    decoder=decode,
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def store(rows: list[Any]) -> None:
    """Write a batch."""
    (connection,) = connections
    async with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.set_types(TYPES)
        for row in rows:
            await copy.write_row(row)
    await connection.commit()


if __name__ == "__main__":
    asyncio.run(app.run())
