"""The rules of what is accepted (those of `schemas.models.Reading`), on columns."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.fields import NAME_LENGTH
from schemas.models import MAX_AHEAD
from streams.columns.batch import Bool, Poison, RawBatch, Records
from streams.columns.checks import FEW_ENTRIES, bad_names, key_twice
from streams.columns.texts import Texts

_MAX_AHEAD_US = int(MAX_AHEAD.total_seconds() * 1_000_000)
# What Python's datetime, and so every single-record path, can hold: the years 1 to 9999.
_FIRST_US = -62_135_596_800_000_000
_LAST_US = 253_402_300_799_999_999

Rule = tuple[str, str, Callable[[Records, RawBatch], Bool]]


def validate(records: Records, batch: RawBatch) -> tuple[Records, list[Poison]]:
    """Keep the records that may be stored; the others are poison, each with the first rule that it breaks."""
    good = np.ones(len(records), dtype=np.bool_)
    poison: list[Poison] = []
    for reason, detail, broken_by in _RULES:
        broken = broken_by(records, batch) & good
        if broken.any():
            poison.extend(Poison(int(position), reason, detail) for position in records.positions[broken])
            good &= ~broken
    return records.keep(good), poison


def _any_entry(records: Records, bad_entries: Bool) -> Bool:
    """Turn a mask over the entries of the metrics maps into a mask over the records."""
    offsets = np.asarray(records.columns.column("metrics").offsets)
    sums = np.concatenate(([0], np.cumsum(bad_entries)))
    return np.asarray(sums[offsets[1:]] > sums[offsets[:-1]], dtype=np.bool_)


def _device_name(records: Records, _batch: RawBatch) -> Bool:
    return bad_names(Texts.of(records.columns.column("device_id")))


def _foreign_key(records: Records, batch: RawBatch) -> Bool:
    keys = pa.array(batch.keys, pa.binary())
    if len(records) < len(batch):
        keys = keys.take(pa.array(records.positions))
    same = pc.equal(keys, records.columns.column("device_id").cast(pa.binary()))
    return ~np.asarray(same.fill_null(False), dtype=np.bool_)  # noqa: FBT003  # pyarrow takes it by position


def _no_metrics(records: Records, _batch: RawBatch) -> Bool:
    return np.asarray(np.diff(np.asarray(records.columns.column("metrics").offsets)) == 0, dtype=np.bool_)


def _metric_name(records: Records, _batch: RawBatch) -> Bool:
    return _any_entry(records, bad_names(Texts.of(records.columns.column("metrics").keys)))


def _name_twice(records: Records, _batch: RawBatch) -> Bool:
    twice = np.zeros(len(records), dtype=np.bool_)
    for field in ("metrics", "units", "tags"):
        twice |= _key_twice(records.columns.column(field))
    return twice


def _key_twice(maps: pa.MapArray) -> Bool:
    offsets = np.asarray(maps.offsets)
    counts = np.diff(offsets)
    if counts.max(initial=0) <= FEW_ENTRIES:
        return key_twice(offsets, Texts.of(maps.keys))
    encoded = maps.keys.dictionary_encode()
    owners = np.repeat(np.arange(len(counts)), counts)
    pairs = owners * len(encoded.dictionary) + np.asarray(encoded.indices)
    order = np.argsort(pairs, kind="stable")
    twice = np.zeros(len(counts), dtype=np.bool_)
    twice[owners[order[1:]][pairs[order[1:]] == pairs[order[:-1]]]] = True
    return twice


def _not_finite(records: Records, _batch: RawBatch) -> Bool:
    return _any_entry(records, ~np.isfinite(np.asarray(records.columns.column("metrics").items)))


def _ts(records: Records) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.asarray(records.columns.column("ts").cast(pa.int64()), dtype=np.int64)


def _no_date(records: Records, _batch: RawBatch) -> Bool:
    ts = _ts(records)
    return np.asarray((ts < _FIRST_US) | (ts > _LAST_US), dtype=np.bool_)


def _ahead(records: Records, batch: RawBatch) -> Bool:
    return np.asarray(_ts(records) > batch.accepted[records.positions] + _MAX_AHEAD_US, dtype=np.bool_)


_NAMES = f"1 to {NAME_LENGTH} characters, none of them a control character, '/', '+' or '#'"

_RULES: tuple[Rule, ...] = (
    # First, as in the codec: what it says of a record does not depend on which of the two decoded it.
    ("twice", "a name comes twice in metrics, units or tags", _name_twice),
    ("device-id", f"a device id has {_NAMES}", _device_name),
    ("key", "the record's key is not its device id in UTF-8", _foreign_key),
    ("no-metrics", "a reading has at least one metric", _no_metrics),
    ("metric-name", f"the name of a metric has {_NAMES}", _metric_name),
    ("not-finite", "a value is not a finite number", _not_finite),
    ("ts", "the instant is outside the years 1 to 9999", _no_date),
    ("ts-ahead", "the instant is more than an hour after the reading was accepted", _ahead),
)
