"""What Kafka's client hands over, as the columns that the agents work on."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from connectors import tracing
from schemas.origin import Headers, Origin, origin_of
from streams.columns.batch import RawBatch


class Record(Protocol):
    """A record as Kafka's client gives it."""

    def topic(self) -> str:
        """Give the topic."""

    def partition(self) -> int:
        """Give the partition."""

    def offset(self) -> int:
        """Give the offset."""

    def timestamp(self) -> tuple[int, int]:
        """Give the kind of the timestamp, and the timestamp in milliseconds since the epoch."""

    def key(self) -> bytes | None:
        """Give the key."""

    def value(self) -> bytes | None:
        """Give the value."""

    def headers(self) -> Headers | None:
        """Give the headers."""


def raw_batch(records: Sequence[Record]) -> RawBatch:
    """Turn records of one partition, in the order of their offsets, into a batch."""
    count = len(records)
    origins: dict[int, Origin] = {}
    traces: dict[int, bytes] = {}
    for position, record in enumerate(records):
        if found := record.headers():
            named = dict(found)
            if (origin := origin_of(named)) is not None:
                origins[position] = origin
            if (trace := tracing.of_headers(named)) is not None:
                traces[position] = trace
    return RawBatch(
        records[0].topic(),
        records[0].partition(),
        offsets=np.fromiter([record.offset() for record in records], dtype=np.int64, count=count),
        accepted=np.fromiter([record.timestamp()[1] for record in records], dtype=np.int64, count=count) * 1000,
        keys=[record.key() for record in records],
        values=[record.value() for record in records],
        origins=origins,
        traces=traces,
    )
