"""Faust as it comes: an agent that takes batches of a stream and inserts them with executemany.

After https://faust-streaming.github.io/faust/userguide/streams.html (`take`); events instead of values, because a row
needs the message's timestamp. Started by `python faust_take.py worker`.
"""

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import faust
import psycopg

FRAME = 5
INSERT = "insert into readings (ts, device_id, metric, value, accepted) values (%s, %s, %s, %s, %s)"

schema = fastavro.parse_schema(json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8")))
app = faust.App(
    os.environ["BENCH_GROUP"],
    broker=f"kafka://{os.environ['BENCH_KAFKA']}",
    store="memory://",
    web_enabled=False,
    datadir=os.environ["BENCH_FOLDER"],
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    topic_allow_declare=False,
)
readings = app.topic("readings", value_serializer="raw", key_serializer="raw")


def rows(event: Any) -> list[tuple[object, ...]]:  # noqa: ANN401  # Faust's own type
    """Decode one message."""
    body = io.BytesIO(event.value)
    body.seek(FRAME)
    reading: Any = fastavro.schemaless_reader(body, schema)
    accepted = datetime.fromtimestamp(event.message.timestamp, UTC)
    return [
        (reading["ts"], reading["device_id"], metric, value, accepted) for metric, value in reading["metrics"].items()
    ]


@app.agent(readings)  # type: ignore[untyped-decorator]
async def store(stream: Any) -> None:  # noqa: ANN401  # Faust's own type
    """Insert batches."""
    connection = await psycopg.AsyncConnection.connect(os.environ["BENCH_DATABASE"])
    async for events in stream.take_events(500, within=1.0):
        async with connection.cursor() as cursor:
            await cursor.executemany(INSERT, [row for event in events for row in rows(event)])
        await connection.commit()


if __name__ == "__main__":
    app.main()
