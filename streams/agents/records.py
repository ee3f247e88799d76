"""What Kafka's client hands over, as the columns that the agents work on."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from streams.columns.batch import RawBatch


class Record(Protocol):
    """A record as Kafka's clients for Python give it."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # milliseconds since the epoch
    key: bytes | None
    value: bytes | None


def raw_batch(records: Sequence[Record]) -> RawBatch:
    """Turn records of one partition, in the order of their offsets, into a batch."""
    count = len(records)
    return RawBatch(
        records[0].topic,
        records[0].partition,
        offsets=np.fromiter((record.offset for record in records), dtype=np.int64, count=count),
        accepted=np.fromiter((record.timestamp for record in records), dtype=np.int64, count=count) * 1000,
        keys=[record.key for record in records],
        values=[record.value for record in records],
    )
