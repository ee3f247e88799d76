"""Readings to rows: one row a device, metric and instant."""

import numpy as np
import pyarrow as pa

from streams.columns.batch import ROW_SCHEMA, RawBatch, Records, Rows


def flatten(records: Records, batch: RawBatch) -> Rows:
    """Give each entry of each reading's metrics a row of its own, in the order of the log."""
    metrics = records.columns.column("metrics")
    owners = np.repeat(np.arange(len(records)), np.diff(np.asarray(metrics.offsets)))
    origin = records.positions[owners]
    take = pa.array(owners)
    columns = pa.RecordBatch.from_arrays(
        [
            records.columns.column("ts").cast(pa.timestamp("us", "UTC")).take(take),
            records.columns.column("device_id").take(take),
            metrics.keys,
            metrics.items,
            pa.array(batch.accepted[origin], pa.timestamp("us", "UTC")),
        ],
        schema=ROW_SCHEMA,
    )
    return Rows(columns, batch.offsets[origin])
