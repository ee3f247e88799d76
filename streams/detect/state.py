"""What is remembered of each series (a metric of a device): one row of an array, found by name."""

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.errors import TidegateError

# How many of a series' last readings are kept, to show the window around an alarm.
RECENT = 16

# Series a snapshot block: small enough that a few busy devices rewrite little, large enough to be few rows.
BLOCK = 256

SERIES = np.dtype(
    [
        ("seen", np.int64),  # readings taken into account
        ("last_ts", np.int64),  # microseconds since the epoch
        ("quiet_until", np.int64),  # the value of `seen` before which an alarm belongs to the previous one
        ("level", np.float64),
        ("spread", np.float64),
        ("short", np.float64),  # short mean of the distance from the level, in spreads
        ("mean", np.float64),  # long mean of the same
        ("variance", np.float64),  # and its long variance
        ("recent_ts", np.int64, (RECENT,)),  # a ring: reading k stands at k modulo RECENT
        ("recent_value", np.float64, (RECENT,)),
        ("recent_offset", np.int64, (RECENT,)),
    ]
)

_BLOCK_SCHEMA = pa.schema(
    [
        pa.field("device_id", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("state", pa.binary(SERIES.itemsize), nullable=False),
    ]
)

_CHECKSUM = struct.Struct("<I")

Name = tuple[str, str]
Indices = npt.NDArray[np.int64]


class SnapshotError(TidegateError):
    """A detector snapshot is not what this version writes."""


class SeriesTable:
    """The state of all series of one partition; rows are added and never removed."""

    def __init__(self) -> None:
        """Start with no series."""
        self.rows = np.zeros(BLOCK, dtype=SERIES)
        self._names: list[Name] = []
        self._index: dict[Name, int] = {}
        self._dirty: set[int] = set()

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> Name:
        """Give the device and the metric of a row."""
        return self._names[index]

    def index(self, name: Name) -> int:
        """Find a series' row; a new series gets the next one."""
        found = self._index.get(name)
        if found is None:
            found = self._add(name)
        return found

    def touched(self, indices: Indices) -> None:
        """Note that these rows changed since the last snapshot."""
        self._dirty.update(np.unique(indices // BLOCK).tolist())

    def _add(self, name: Name) -> int:
        index = len(self._names)
        if index == len(self.rows):
            # By half, not to twice the length: a series may take a kilobyte with all that belongs to it.
            self.rows = np.concatenate([self.rows, np.zeros(max(BLOCK, len(self.rows) // 2), dtype=SERIES)])
        self.rows[index]["last_ts"] = np.iinfo(np.int64).min
        self._names.append(name)
        self._index[name] = index
        return index

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def changed_blocks(self) -> dict[int, bytes]:
        """Write down the blocks that changed since the last `saved`."""
        return {block: self._write(block) for block in sorted(self._dirty)}

    def saved(self) -> None:
        """Note that what `changed_blocks` gave is in a safe place."""
        self._dirty.clear()

    def _write(self, block: int) -> bytes:
        part = slice(block * BLOCK, min((block + 1) * BLOCK, len(self)))
        names = self._names[part]
        state = [row.tobytes() for row in self.rows[part]]
        columns = pa.RecordBatch.from_arrays(
            [
                pa.array([device for device, _ in names], pa.string()),
                pa.array([metric for _, metric in names], pa.string()),
                pa.array(state, pa.binary(SERIES.itemsize)),
            ],
            schema=_BLOCK_SCHEMA,
        )
        out = io.BytesIO()
        with pa.ipc.new_stream(out, _BLOCK_SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_batch(columns)
        written = out.getvalue()
        return _CHECKSUM.pack(zlib.crc32(written)) + written

    @classmethod
    def restore(cls, blocks: dict[int, bytes]) -> "SeriesTable":
        """Read what `changed_blocks` wrote, over time, into the state that it was.

        Raises:
            SnapshotError: a block is missing, damaged, or of another layout.

        """
        table = cls()
        for number, block in enumerate(sorted(blocks)):
            if number != block or len(table) != number * BLOCK:
                raise SnapshotError(f"a block of a detector snapshot before number {block} is missing or incomplete")
            table._read(blocks[block])
        return table

    def _read(self, block: bytes) -> None:
        # Arrow would read a damaged number, or a stream that ends early, without a word.
        written = block[_CHECKSUM.size :]
        if block[: _CHECKSUM.size] != _CHECKSUM.pack(zlib.crc32(written)):
            raise SnapshotError("a block of a detector snapshot is damaged")
        try:
            with pa.ipc.open_stream(written) as reader:
                if reader.schema != _BLOCK_SCHEMA:
                    raise SnapshotError
                columns = reader.read_all()
                columns.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise SnapshotError(f"a block of a detector snapshot cannot be read: {error}") from error
        state = np.frombuffer(b"".join(columns.column("state").to_pylist()), dtype=SERIES)
        names = zip(columns.column("device_id").to_pylist(), columns.column("metric").to_pylist(), strict=True)
        for name, row in zip(names, state, strict=True):
            if name in self._index:
                raise SnapshotError("a series stands twice in a detector snapshot")
            index = self._add(name)  # before `rows` is looked at: it may grow
            self.rows[index] = row
