"""Each rule, by its reason; the first that is broken is the one that is named."""

import math
import struct

import numpy as np
import pytest

from schemas.codec import frame
from streams.columns.batch import RawBatch
from streams.columns.checks import FEW_ENTRIES
from streams.columns.decode import decode
from streams.columns.flatten import flatten
from streams.columns.validate import validate

ACCEPTED = 1_772_366_400_000_000
HOUR = 3_600_000_000


def varint(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def text(content: str) -> bytes:
    return varint(len(content.encode())) + content.encode()


def body(
    device: str = "d",
    ts: int = ACCEPTED,
    metrics: tuple[tuple[str, float], ...] = (("a", 1.0),),
    units: bytes = b"\x00",
) -> bytes:
    entries = b"".join(text(name) + struct.pack("<d", value) for name, value in metrics)
    written = varint(len(metrics)) + entries + b"\x00" if metrics else b"\x00"
    return frame(7101) + text(device) + varint(ts) + written + units + b"\x00\x00"


def batch_of(values: list[bytes], keys: list[bytes | None] | None = None) -> RawBatch:
    offsets = np.arange(len(values), dtype=np.int64) * 10
    return RawBatch("readings", 0, offsets, offsets * 0 + ACCEPTED, keys or [b"d"] * len(values), values)


GOOD = body()
CASES = {
    "twice": body(metrics=(("a", 1.0), ("b", 1.0), ("a", 2.0))),
    "twice, in units": body(units=b"\x04\x02a\x00\x02a\x00\x00"),
    "twice, among many": body(metrics=(*((f"m{number}", 1.0) for number in range(100)), ("m7", 2.0))),
    "device-id": body(device="a/b"),
    "key": body(device="other"),
    "no-metrics": body(metrics=()),
    "metric-name": body(metrics=(("a", 1.0), ("", 1.0))),
    "not-finite": body(metrics=(("a", 1.0), ("b", math.inf))),
    "ts": body(ts=-62_135_596_800_000_001),
    "ts-ahead": body(ts=ACCEPTED + HOUR + 1),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_rule_refuses_the_whole_reading_and_no_other(case: str) -> None:
    batch = batch_of([GOOD, CASES[case], GOOD])

    records, poison = validate(decode(batch)[0], batch)

    assert [(found.position, found.reason) for found in poison] == [(1, case.partition(",")[0])]
    assert records.positions.tolist() == [0, 2]
    assert flatten(records, batch).offsets.tolist() == [0, 20]


@pytest.mark.parametrize("key", [None, b"", b"D", b"d\x00"])
def test_the_key_is_the_device(key: bytes | None) -> None:
    batch = batch_of([GOOD], [key])

    assert [found.reason for found in validate(decode(batch)[0], batch)[1]] == ["key"]


def test_the_bounds_themselves_are_accepted() -> None:
    batch = batch_of([body(ts=ACCEPTED + HOUR), body(ts=-62_135_596_800_000_000)])

    assert validate(decode(batch)[0], batch)[1] == []


@pytest.mark.parametrize("count", [FEW_ENTRIES, FEW_ENTRIES + 1, 1000])
def test_many_metrics_are_accepted(count: int) -> None:
    batch = batch_of([GOOD, body(metrics=tuple((f"m{number}", 1.0) for number in range(count))), GOOD])

    assert len(flatten(validate(decode(batch)[0], batch)[0], batch)) == count + 2


def test_a_reading_that_breaks_two_rules_is_poison_once() -> None:
    batch = batch_of([body(device="a/b", metrics=(("", math.nan), ("", math.nan)), ts=2**62)])

    assert [found.reason for found in validate(decode(batch)[0], batch)[1]] == ["twice"]


def test_the_reason_for_a_name_that_comes_twice_is_the_same_on_the_slow_path() -> None:
    batch = batch_of([CASES["twice"], frame(7101)])

    assert [(found.position, found.reason) for found in decode(batch)[1]] == [(0, "twice"), (1, "avro")]


def test_rows_keep_the_order_of_the_log_and_of_the_reading() -> None:
    batch = batch_of([body(metrics=(("z", 1.0), ("a", 2.0))), body(metrics=()), body(metrics=(("m", 3.0),))])
    records, _ = validate(decode(batch)[0], batch)

    rows = flatten(records, batch)

    assert rows.columns.column("metric").to_pylist() == ["z", "a", "m"]
    assert rows.columns.column("value").to_pylist() == [1.0, 2.0, 3.0]
    assert rows.offsets.tolist() == [0, 0, 20]
