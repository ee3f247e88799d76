"""What goes in and what comes out: records as Kafka gave them, rows as the database and the detectors take them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.origin import Origin

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Records of one partition in the order of their offsets; entry i of every field is record i."""

    topic: str
    partition: int
    offsets: Int64
    accepted: Int64  # Kafka's timestamps, microseconds since the epoch
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    # Of those that say that they are copies, what they are copies of.
    origins: Mapping[int, Origin] = field(default_factory=dict)
    # Of those that are traced, the header that says so.
    traces: Mapping[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return int(self.offsets[-1]) + 1

    def since(self, first: int) -> "RawBatch":
        """Give the records from position `first` on."""
        if first == 0:
            return self
        return RawBatch(
            self.topic,
            self.partition,
            self.offsets[first:],
            self.accepted[first:],
            self.keys[first:],
            self.values[first:],
            {position - first: origin for position, origin in self.origins.items() if position >= first},
            {position - first: trace for position, trace in self.traces.items() if position >= first},
        )


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that cannot be used."""

    position: int  # in the RawBatch
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Records:
    """Decoded readings as columns (the fields of the Avro schema), and where in the RawBatch each came from."""

    columns: pa.RecordBatch
    positions: Int64

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def keep(self, mask: Bool) -> "Records":
        """Give only the records where `mask` is true."""
        if mask.all():
            return self
        return Records(self.columns.filter(pa.array(mask)), self.positions[mask])


ROW_SCHEMA = pa.schema(
    [
        pa.field("ts", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("device_id", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("accepted", pa.timestamp("us", "UTC"), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Rows:
    """One row a device, metric and instant (`ROW_SCHEMA`), in the order of the log, with each row's offset."""

    columns: pa.RecordBatch
    offsets: Int64

    def __len__(self) -> int:
        return int(self.columns.num_rows)
