"""Bytewax: its Kafka source, and a sink of one's own that writes each batch with COPY BINARY.

After https://docs.bytewax.io/stable/guide/advanced-concepts/custom-connectors.html. It runs without recovery, so
neither offsets nor state are written anywhere: the most favourable setting. Started by `python -m bytewax.run`.
"""

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]  # of the peer's environment
import fastavro
import psycopg
from bytewax.connectors.kafka import KafkaSource  # type: ignore[import-not-found]  # the same
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]  # the same
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]  # the same

FRAME = 5
BATCH = 5000
COPY = "copy readings (ts, device_id, metric, value, accepted) from stdin (format binary)"
TYPES = ("timestamptz", "text", "text", "float8", "timestamptz")

Row = tuple[object, ...]

schema = fastavro.parse_schema(json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8")))


def rows(message: Any) -> list[Row]:  # noqa: ANN401  # bytewax's own type
    """Decode one message."""
    body = io.BytesIO(message.value)
    body.seek(FRAME)
    reading: Any = fastavro.schemaless_reader(body, schema)
    accepted = datetime.fromtimestamp(message.timestamp[1] / 1000, UTC)
    return [
        (reading["ts"], reading["device_id"], metric, value, accepted) for metric, value in reading["metrics"].items()
    ]


class Writer(StatelessSinkPartition):  # type: ignore[misc]
    """One worker's connection."""

    def __init__(self) -> None:
        self._connection = psycopg.connect(os.environ["BENCH_DATABASE"])

    def write_batch(self, items: list[Row]) -> None:
        """Write what the dataflow hands over at once."""
        with self._connection.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.set_types(TYPES)
            for item in items:
                copy.write_row(item)
        self._connection.commit()


class Readings(DynamicSink):  # type: ignore[misc]
    """The table."""

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> Writer:
        """Make one worker's part."""
        return Writer()


flow = Dataflow("readings")
messages = op.input("in", flow, KafkaSource([os.environ["BENCH_KAFKA"]], ["readings"], batch_size=BATCH))
op.output("out", op.flat_map("decode", messages, rows), Readings())
