"""A block of series as bytes, and back: names, the light tier's rows and, of those that have one, the full tier's."""

import struct
import zlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import TidegateError
from streams.columns.names import PAIRS
from streams.columns.texts import Texts
from streams.detect.layout import FULL, SERIES

_STATE, _FULL = pa.binary(SERIES.itemsize), pa.binary(FULL.itemsize)
_BLOCK_SCHEMA = pa.schema(
    [
        pa.field("name", PAIRS, nullable=False),  # device and metric
        pa.field("state", _STATE, nullable=False),
        pa.field("full", _FULL, nullable=True),
    ]
)

_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_CHECKSUM = struct.Struct("<I")

Rows = npt.NDArray[np.void]


class SnapshotError(TidegateError):
    """A detector snapshot is not what this version writes."""


def write(names: pa.Array, rows: Rows, memories: Rows) -> bytes:
    """Write down a block: of each series its name, its row and, out of `memories`, its row of the full tier."""
    columns = pa.RecordBatch.from_arrays(
        [
            names,
            pa.FixedSizeBinaryArray.from_buffers(_STATE, len(rows), [None, pa.py_buffer(_shuffled(rows))]),
            _memories(rows["full"], memories),
        ],
        schema=_BLOCK_SCHEMA,
    )
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, _BLOCK_SCHEMA, options=_LZ4) as writer:
        writer.write_batch(columns)
    written: bytes = out.getvalue().to_pybytes()
    return _CHECKSUM.pack(zlib.crc32(written)) + written


def _memories(places: npt.NDArray[np.int32], memories: Rows) -> pa.FixedSizeBinaryArray:
    """Gather rows of the full tier in one copy: they are most of what is written."""
    there = places >= 0
    if not there.any():
        return pa.nulls(len(places), _FULL)
    data = memories[np.maximum(places, 0)]
    data[~there] = np.zeros((), dtype=FULL)
    valid = pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.FixedSizeBinaryArray.from_buffers(_FULL, len(places), [valid, pa.py_buffer(data.view(np.uint8))])


def read(block: bytes) -> tuple[Texts, Texts, Rows, list[Rows | None]]:
    """Give what `write` was given: devices, metrics, rows, and of each series its row of the full tier, if it has one.

    Raises:
        SnapshotError: the block is damaged, or of another layout.

    """
    # Arrow would read a damaged number, or a stream that ends early, without a word.
    written = block[_CHECKSUM.size :]
    if block[: _CHECKSUM.size] != _CHECKSUM.pack(zlib.crc32(written)):
        raise SnapshotError("a block of a detector snapshot is damaged")
    try:
        with pa.ipc.open_stream(written) as reader:
            if reader.schema != _BLOCK_SCHEMA:
                raise SnapshotError
            columns = reader.read_all().combine_chunks()
            columns.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise SnapshotError(f"a block of a detector snapshot cannot be read: {error}") from error
    names, state, full = (columns.column(name).combine_chunks() for name in _BLOCK_SCHEMA.names)
    rows = np.empty(columns.num_rows, dtype=SERIES)
    if columns.num_rows:
        _unshuffle(state.buffers()[1], rows)
    devices, metrics = (Texts.of(pc.list_element(names, which)) for which in (0, 1))
    return devices, metrics, rows, [None if row is None else np.frombuffer(row, FULL)[0] for row in full.to_pylist()]


def _shuffled(rows: Rows) -> npt.NDArray[np.uint8]:
    """Put the first bytes of all rows before their second ones, and so on: what is alike stands together.

    It halves the time that the compression takes, and saves a quarter of the bytes.
    """
    return np.ascontiguousarray(rows.view(np.uint8).reshape(len(rows), SERIES.itemsize).T)


def _unshuffle(state: pa.Buffer, rows: Rows) -> None:
    """Write into `rows` what `_shuffled` gave of them."""
    byte_by_byte = np.frombuffer(state, dtype=np.uint8, count=rows.nbytes)
    rows.view(np.uint8).reshape(len(rows), SERIES.itemsize)[:] = byte_by_byte.reshape(SERIES.itemsize, len(rows)).T
