"""Quixstreams with its own PostgreSQL sink.

After https://quix.io/docs/quix-streams/connectors/sinks/postgresql-sink.html. The table is there already, so the sink
neither makes columns nor adds its own; a checkpoint, and with it a write, comes every 5,000 messages.
"""

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
from psycopg2.extensions import parse_dsn  # type: ignore[import-untyped]  # of the peer's environment
from quixstreams import Application  # type: ignore[import-not-found]  # the same
from quixstreams.sinks.community.postgresql import PostgreSQLSink  # type: ignore[import-not-found]  # the same

FRAME = 5
BATCH = 5000

schema = fastavro.parse_schema(json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8")))


def rows(value: bytes, _key: object, timestamp: int, _headers: object) -> list[dict[str, Any]]:
    """Decode one message."""
    body = io.BytesIO(value)
    body.seek(FRAME)
    reading: Any = fastavro.schemaless_reader(body, schema)
    accepted = datetime.fromtimestamp(timestamp / 1000, UTC)
    return [
        {
            "ts": reading["ts"],
            "device_id": reading["device_id"],
            "metric": metric,
            "value": measured,
            "accepted": accepted,
        }
        for metric, measured in reading["metrics"].items()
    ]


def main() -> None:
    """Run the application until killed."""
    database = parse_dsn(os.environ["BENCH_DATABASE"])
    app = Application(
        broker_address=os.environ["BENCH_KAFKA"],
        consumer_group=os.environ["BENCH_GROUP"],
        auto_offset_reset="earliest",
        commit_every=BATCH,
        auto_create_topics=False,
        state_dir=os.environ["BENCH_FOLDER"],
    )
    sink = PostgreSQLSink(
        host=database["host"],
        port=int(database.get("port", 5432)),
        dbname=database["dbname"],
        user=database["user"],
        password=database.get("password", ""),
        table_name="readings",
        schema_auto_update=False,
        include_metadata=False,
    )
    readings = app.dataframe(app.topic("readings", value_deserializer="bytes", key_deserializer="bytes"))
    readings.apply(rows, expand=True, metadata=True).sink(sink)
    app.run()


if __name__ == "__main__":
    main()
