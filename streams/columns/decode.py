"""Avro bytes to Arrow columns in one call for a batch; fastavro, record by record, for what that call refuses.

pyruhvro decodes a batch without a Python object a reading, but refuses it whole for one bad message, and lets through
what fastavro does not: invalid UTF-8 and bytes after the record. So its result is checked, and a refused batch is
halved until what is wrong stands alone; there fastavro has the last word.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from schemas.codec import HEADER, decode_dict, frame
from schemas.errors import PoisonError
from schemas.registry import READING
from streams.columns.batch import Bool, Int64, Poison, RawBatch, Records

_SCHEMA = READING.text
_COLUMNS: pa.Schema = pyruhvro.deserialize_array([], _SCHEMA).schema

# Below this many messages, halving costs more than looking at each.
_FEW = 8

# The smallest numbers that take two bytes, three, and so on up to ten.
_VARINT_LIMITS = np.array([1 << bits for bits in range(7, 64, 7)], dtype=np.uint64)


def decode(batch: RawBatch) -> tuple[Records, list[Poison]]:
    """Decode a batch; every record is either in the columns or poison, both in the order of the batch."""
    values = pa.array(batch.values, pa.binary())
    framed = _framed(values)
    fast = np.flatnonzero(framed)
    readable = batch.values if framed.all() else [batch.values[position] for position in fast.tolist()]
    bodies = [value[HEADER.size :] for value in readable]  # type: ignore[index]  # None has no frame
    lengths = np.asarray(pc.binary_length(values).fill_null(0), dtype=np.int64)[fast] - HEADER.size
    parts, slow = _decode_fast(bodies, lengths, fast)
    slow += np.flatnonzero(~framed).tolist()
    poison: list[Poison] = []
    if slow:
        part, poison = _decode_slowly(batch, sorted(slow))
        parts.append(part)
    return _in_order(parts), poison


def _framed(values: pa.BinaryArray) -> Bool:
    """Say which values begin as a reading of today's schema does."""
    return np.asarray(pc.starts_with(values, pattern=frame(READING.wire_id)).fill_null(False), dtype=np.bool_)  # noqa: FBT003  # pyarrow takes it by position


def _decode_fast(bodies: list[bytes], lengths: Int64, positions: Int64) -> tuple[list[Records], list[int]]:
    """Decode bodies of today's schema; give the parts that went through, and the positions of what did not."""
    if not bodies:
        return [], []
    try:
        columns = pyruhvro.deserialize_array(bodies, _SCHEMA)
        columns.validate(full=True)
    except (ValueError, pa.ArrowException):
        if len(bodies) <= _FEW:
            return [], [int(position) for position in positions]
        middle = len(bodies) // 2
        parts, refused = _decode_fast(bodies[:middle], lengths[:middle], positions[:middle])
        more_parts, more_refused = _decode_fast(bodies[middle:], lengths[middle:], positions[middle:])
        return parts + more_parts, refused + more_refused
    as_expected = lengths == _canonical_lengths(columns)
    refused = [int(position) for position in positions[~as_expected]]
    return [Records(columns, positions).keep(as_expected)], refused


def _decode_slowly(batch: RawBatch, positions: list[int]) -> tuple[Records, list[Poison]]:
    records: list[dict[str, object]] = []
    good: list[int] = []
    poison: list[Poison] = []
    for position in positions:
        value = batch.values[position]
        if value is None:
            poison.append(Poison(position, "empty", "the record has no value"))
            continue
        try:
            record = decode_dict(value, READING)
        except PoisonError as error:
            poison.append(Poison(position, error.reason, error.detail))
        else:
            record["ts"] = record["ts"].replace(tzinfo=None)
            records.append(
                {name: list(field.items()) if isinstance(field, dict) else field for name, field in record.items()}
            )
            good.append(position)
    return Records(pa.RecordBatch.from_pylist(records, schema=_COLUMNS), np.asarray(good, dtype=np.int64)), poison


def _in_order(parts: list[Records]) -> Records:
    if not parts:
        return Records(_empty(), np.empty(0, np.int64))
    if len(parts) == 1:
        return parts[0]
    positions = np.concatenate([part.positions for part in parts])
    columns = pa.Table.from_batches([part.columns for part in parts]).combine_chunks()
    order = np.argsort(positions, kind="stable")
    whole = columns.take(pa.array(order)).combine_chunks().to_batches()
    return Records(whole[0] if whole else _empty(), positions[order])


def _empty() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=_COLUMNS)


def _canonical_lengths(columns: pa.RecordBatch) -> Int64:
    """How many bytes each record takes as every common encoder writes it (maps in one block).

    A body that is longer carries something after the record, or maps in several blocks: fastavro tells which.
    """
    total = _text_lengths(columns.column("device_id")) + _varint_lengths(_zigzag(_integers(columns.column("ts"))))
    for name in ("metrics", "units", "tags"):
        total += _map_lengths(columns.column(name))
    seq = columns.column("seq")
    absent = np.asarray(pc.is_null(seq))
    return np.asarray(
        total + np.where(absent, 1, 1 + _varint_lengths(_zigzag(_integers(seq.fill_null(0))))), dtype=np.int64
    )


def _integers(column: pa.Array) -> Int64:
    return np.asarray(column.cast(pa.int64()), dtype=np.int64)


def _zigzag(numbers: Int64) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _varint_lengths(zigzagged: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> Int64:
    """Count seven bits a byte."""
    if zigzagged.max(initial=np.uint64(0)) < _VARINT_LIMITS[0]:  # nearly all lengths of texts
        return np.ones(len(zigzagged), dtype=np.int64)
    return np.searchsorted(_VARINT_LIMITS, zigzagged, side="right") + 1


def _text_lengths(column: pa.Array) -> Int64:
    """Count a text as its length in bytes, a varint, and the bytes."""
    lengths = np.asarray(pc.binary_length(column), dtype=np.int64)
    return lengths + _varint_lengths(_zigzag(lengths))


def _map_lengths(column: pa.MapArray) -> Int64:
    """Count a map as its number of entries, a varint, the entries, and a zero; an empty one is the zero alone."""
    offsets = np.asarray(column.offsets, dtype=np.int64)
    counts = np.diff(offsets)
    keys = column.keys
    items = column.items
    entries = _text_lengths(keys) + (8 if pa.types.is_floating(items.type) else _text_lengths(items))
    sums = np.concatenate(([0], np.cumsum(entries)))
    body = sums[offsets[1:]] - sums[offsets[:-1]]
    return np.where(counts == 0, 1, body + _varint_lengths(_zigzag(counts)) + 1)
