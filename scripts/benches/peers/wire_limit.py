"""The limit that the wire sets: the same messages are consumed, and buffers encoded beforehand go to COPY BINARY.

Nothing is between the two: messages are not looked at, buffers not made. A first pass over the topic makes the buffers
before the measuring begins; it takes all messages there are.
"""

import os
import time
from datetime import UTC, datetime

import numpy as np
import pgpq
import psycopg
import pyarrow as pa
import pyruhvro
from confluent_kafka import Consumer, Message

from schemas.registry import READING

FRAME = 5
BATCH = 20_000
COPY = "copy readings (ts, device_id, metric, value, accepted) from stdin (format binary)"
LONGEST_S = 60.0


def consumer(group: str, **more: str | float) -> Consumer:
    """Make a consumer that starts at the beginning, with settings beside librdkafka's own."""
    made = Consumer(
        {
            "bootstrap.servers": os.environ["BENCH_KAFKA"],
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **more,
        }
    )
    made.subscribe(["readings"])
    return made


def encoded(messages: list[Message], *, in_order: bool = False) -> bytes:
    """Make the COPY BINARY stream of a batch; on request in the order of the table's key."""
    decoded = pyruhvro.deserialize_array([(message.value() or b"")[FRAME:] for message in messages], READING.text)
    metrics = decoded.column("metrics")
    owner = pa.array(np.repeat(np.arange(len(decoded)), np.diff(np.asarray(metrics.offsets))))
    accepted = [datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC) for message in messages]
    rows = pa.record_batch(
        [
            decoded.column("ts").cast(pa.timestamp("us", "UTC")).take(owner),
            decoded.column("device_id").take(owner),
            metrics.keys,
            metrics.items,
            pa.array(accepted, pa.timestamp("us", "UTC")).take(owner),
        ],
        names=["ts", "device_id", "metric", "value", "accepted"],
    )
    if in_order:
        rows = rows.sort_by([(name, "ascending") for name in ("device_id", "metric", "ts")])
    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    return bytes(encoder.write_header() + encoder.write_batch(rows) + encoder.finish())


def beforehand(expected: int) -> list[bytes]:
    """Read all messages and encode them, a buffer for each batch."""
    first = consumer(os.environ["BENCH_GROUP"] + "-beforehand")
    buffers, seen, deadline = [], 0, time.monotonic() + LONGEST_S
    while seen < expected:
        messages = first.consume(min(BATCH, expected - seen), 5.0)
        if time.monotonic() > deadline:
            raise TimeoutError("the messages could not be read beforehand")
        if messages:
            buffers.append((len(messages), encoded(messages)))
            seen += len(messages)
    first.close()
    return [buffer for _, buffer in buffers]


def main() -> None:
    """Consume and write what was encoded beforehand; until killed."""
    expected = int(os.environ["BENCH_MESSAGES"])
    buffers = beforehand(expected)
    each = -(-expected // len(buffers))
    reader, consumed, written = consumer(os.environ["BENCH_GROUP"]), 0, 0
    with psycopg.connect(os.environ["BENCH_DATABASE"]) as connection:
        while True:
            messages = reader.consume(BATCH, 0.1)
            if not messages:
                continue
            consumed += len(messages)
            while written < len(buffers) and (consumed >= min((written + 1) * each, expected)):
                with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                    copy.write(buffers[written])
                connection.commit()
                written += 1
            reader.commit(asynchronous=True)


if __name__ == "__main__":
    main()
