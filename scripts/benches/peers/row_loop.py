"""A bare row loop: confluent-kafka, fastavro, COPY BINARY row by row; no ledger, no checks, no statistics.

`BENCH_CONSUME` says how it consumes: how many messages at once, and for how many seconds it waits until they are there.
"""

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import psycopg
from confluent_kafka import Consumer

FRAME = 5
CONSUME = "20000 0.1"
COPY = "copy readings (ts, device_id, metric, value, accepted) from stdin (format binary)"
TYPES = ("timestamptz", "text", "text", "float8", "timestamptz")


def main() -> None:
    """Consume, decode, write, commit; until killed."""
    schema = fastavro.parse_schema(json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8")))
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["BENCH_KAFKA"],
            "group.id": os.environ["BENCH_GROUP"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["readings"])
    count, wait_s = os.environ.get("BENCH_CONSUME", CONSUME).split()
    batch, timeout = int(count), float(wait_s)
    with psycopg.connect(os.environ["BENCH_DATABASE"]) as connection:
        while True:
            messages = consumer.consume(batch, timeout)
            if not messages:
                continue
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                copy.set_types(TYPES)
                for message in messages:
                    body = io.BytesIO(message.value() or b"")
                    body.seek(FRAME)
                    reading: dict[str, object] = fastavro.schemaless_reader(body, schema)  # type: ignore[assignment]
                    accepted = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                    metrics: dict[str, float] = reading["metrics"]  # type: ignore[assignment]
                    for metric, value in metrics.items():
                        copy.write_row((reading["ts"], reading["device_id"], metric, value, accepted))
            connection.commit()
            consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()
