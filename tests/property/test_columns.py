"""Columns and single records accept the same: a differential test of the fast lane against fastavro and pydantic."""

import math
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from schemas.codec import decode as decode_one
from schemas.codec import encode, frame
from schemas.errors import PoisonError
from schemas.models import MAX_AHEAD, Insight, Reading
from streams.columns.batch import RawBatch
from streams.columns.decode import decode
from streams.columns.flatten import flatten
from streams.columns.validate import validate

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ACCEPTED = 1_772_366_400_000_000  # 2026-03-01 12:00 UTC
AHEAD = 3_600_000_000
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Row = tuple[int, str, str, str, int]
Sent = tuple[bytes | None, bytes | None]  # key and value


# -- Avro by hand: every legal way to write a reading, and some that are not -------------------------------------------


def long(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def text(content: bytes) -> bytes:
    return long(len(content)) + content


@st.composite
def blocks(draw: st.DrawFn, entries: Sequence[bytes]) -> bytes:
    """A map in one block or several, with or without their sizes in bytes."""
    written = b""
    rest = list(entries)
    while rest:
        count = draw(st.integers(1, len(rest)))
        body = b"".join(rest[:count])
        written += long(-count) + long(len(body)) + body if draw(st.booleans()) else long(count) + body
        del rest[:count]
    return written + b"\x00"


letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/+#")
ids = st.sampled_from(["pump-7", "pump-8", "Füllstand", "x" * 128, "\N{PILE OF POO}" * 128]) | st.text(
    letters, min_size=1, max_size=8
)
bad_names = st.sampled_from(["", "x" * 129, "a/b", "+", "a#", "\x00", "a\n", "\x7f", "\x9f"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308])
instants = (
    st.integers(FIRST, ACCEPTED + AHEAD)
    | st.sampled_from([FIRST, ACCEPTED, ACCEPTED + AHEAD])
    | st.integers(ACCEPTED - 10**9, ACCEPTED)
)
bad_instants = st.sampled_from([ACCEPTED + AHEAD + 1, LAST, LAST + 1, FIRST - 1, 2**63 - 1, -(2**63)]) | st.integers(
    ACCEPTED + AHEAD + 1, LAST
)


@st.composite
def sent_by_hand(draw: st.DrawFn, *, flaw: str = "") -> Sent:
    device = draw(bad_names if flaw == "device" else ids).encode()
    names = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    values = draw(st.lists(finite, min_size=len(names), max_size=len(names)))
    if flaw == "value":
        values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from([math.nan, math.inf, -math.inf]))
    metrics = [text(name.encode()) + struct.pack("<d", value) for name, value in zip(names, values, strict=True)]
    if flaw == "metric":
        metrics.insert(draw(st.integers(0, len(metrics))), text(draw(bad_names).encode()) + bytes(8))
    if flaw == "empty":
        metrics = []
    maps = [metrics]
    for _ in ("units", "tags"):
        entries = draw(st.dictionaries(texts, texts, max_size=2))
        maps.append([text(key.encode()) + text(value.encode()) for key, value in entries.items()])
    if flaw == "twice":
        which = draw(st.sampled_from([entries for entries in maps if entries]))
        which.insert(draw(st.integers(0, len(which))), draw(st.sampled_from(which)))
    seq = draw(st.none() | st.integers(-(2**63), 2**63 - 1))
    body = text(device) + long(draw(bad_instants if flaw == "instant" else instants))
    body += b"".join(draw(blocks(entries)) for entries in maps)
    body += b"\x00" if seq is None else b"\x02" + long(seq)
    return draw(st.sampled_from([None, b"", b"pump-9", device + b"\x00"])) if flaw == "key" else device, frame(
        7101
    ) + body


@st.composite
def damaged(draw: st.DrawFn) -> Sent:
    key, value = draw(sent_by_hand())
    assert value is not None
    at = draw(st.integers(0, len(value)))
    put = draw(st.binary(max_size=4) | st.sampled_from([b"\x80\x00", b"\xff" * 9 + b"\x01", b"\xff" * 9 + b"\x7f"]))
    return key, value[:at] + put + value[at + draw(st.integers(0, 4)) :]


@st.composite
def encoded(draw: st.DrawFn) -> Sent:
    device = draw(ids)
    reading = Reading(
        device_id=device,
        ts=EPOCH + timedelta(microseconds=draw(instants)),
        metrics=draw(st.dictionaries(ids, finite, min_size=1, max_size=4)),
        units=draw(st.dictionaries(ids, texts, max_size=2)),
        tags=draw(st.dictionaries(texts, texts, max_size=2)),
        seq=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
    )
    return device.encode(), encode(reading)


INSIGHT = encode(
    Insight(
        id="6f1c7d3e-5a53-5c0b-9a0e-7469646567a7",
        request_id="6f1c7d3e-5a53-5c0b-9a0e-7469646567a7",
        device_id="pump-7",
        metric="t",
        window_start=EPOCH,
        window_end=EPOCH,
        kind="k",
        severity="info",
        summary="",
        confidence=0.0,
        source="rules",
        topic="t",
        partition=0,
        first_offset=0,
        last_offset=0,
        latency_s=0.0,
        created=EPOCH,
    )
)
FLAWS = ["device", "value", "metric", "empty", "twice", "instant", "key"]
sent = st.one_of(
    encoded(),
    sent_by_hand(),
    encoded(),
    sent_by_hand(),
    st.sampled_from(FLAWS).flatmap(lambda flaw: sent_by_hand(flaw=flaw)),
    damaged(),
    st.tuples(st.just(b"pump-7"), st.none() | st.binary(max_size=30) | st.just(INSIGHT) | st.just(frame(7101))),
)


# -- the oracle --------------------------------------------------------------------------------------------------------


def expected(batch: RawBatch, position: int) -> list[Row] | None:
    """The rows of a record, or None where it is poison: one at a time, with fastavro and pydantic."""
    value, accepted = batch.values[position], int(batch.accepted[position])
    if value is None:
        return None
    try:
        reading = decode_one(value, Reading)
    except PoisonError:
        return None
    if batch.keys[position] != reading.device_id.encode():
        return None
    try:
        latest = EPOCH + timedelta(microseconds=accepted) + MAX_AHEAD
    except OverflowError:
        latest = datetime.max.replace(tzinfo=UTC)
    if reading.ts > latest:
        return None
    ts = (reading.ts - EPOCH) // timedelta(microseconds=1)
    return [(ts, reading.device_id, name, value.hex(), accepted) for name, value in reading.metrics.items()]


def batch_of(messages: Sequence[Sent], offsets: Sequence[int]) -> RawBatch:
    return RawBatch(
        "readings",
        3,
        offsets=np.array(offsets, dtype=np.int64),
        accepted=ACCEPTED + 0 * np.array(offsets, dtype=np.int64),
        keys=[key for key, _ in messages],
        values=[value for _, value in messages],
    )


def check(batch: RawBatch) -> int:
    """Compare a batch's rows and poison with the oracle's; give the number of accepted records."""
    decoded, undecodable = decode(batch)
    records, invalid = validate(decoded, batch)
    rows = flatten(records, batch)

    oracle = [expected(batch, position) for position in range(len(batch))]
    accepted = [position for position, rows in enumerate(oracle) if rows is not None]
    assert records.positions.tolist() == accepted
    assert sorted(found.position for found in undecodable + invalid) == [
        position for position, rows in enumerate(oracle) if rows is None
    ]
    assert all(found.reason and found.detail for found in undecodable + invalid)

    columns = rows.columns
    columns.validate(full=True)
    got = zip(
        np.asarray(columns.column("ts").cast("int64")).tolist(),
        columns.column("device_id").to_pylist(),
        columns.column("metric").to_pylist(),
        [value.hex() for value in columns.column("value").to_pylist()],
        np.asarray(columns.column("accepted").cast("int64")).tolist(),
        strict=True,
    )
    assert list(got) == [row for rows in oracle for row in rows or []]
    assert rows.offsets.tolist() == [
        int(batch.offsets[position]) for position, rows in enumerate(oracle) for _ in rows or []
    ]
    return len(accepted)


@SETTINGS
@given(st.lists(sent, max_size=40), st.integers(0, 2**40), st.data())
def test_columns_accept_and_refuse_what_single_records_do(
    messages: list[Sent], start: int, data: st.DataObject
) -> None:
    offsets = [start]
    for _ in messages[1:]:
        offsets.append(offsets[-1] + data.draw(st.sampled_from([1, 1, 1, 2, 100])))
    accepted = check(batch_of(messages, offsets[: len(messages)]))
    event(f"accepted {'all' if accepted == len(messages) else 'some' if accepted else 'none'}")


@SETTINGS
@given(st.lists(sent, min_size=1, max_size=12))
def test_a_record_has_the_same_fate_in_any_company(messages: list[Sent]) -> None:
    alone = [check(batch_of([message], [0])) for message in messages]

    assert check(batch_of(messages, range(len(messages)))) == sum(alone)
    # Good neighbours send a message through the fast path, bad ones through the slow one.
    good = (b"pump-7", frame(7101) + b"\x0cpump-7\x00\x02\x02a" + bytes(8) + b"\x00\x00\x00\x00")
    bad = (b"pump-7", frame(7101) + b"\xff")
    among_good = [part for message in messages for part in (message, good)]
    assert check(batch_of(among_good, range(len(among_good)))) == sum(alone) + len(messages)
    among_bad = [part for message in messages for part in (bad, message)]
    assert check(batch_of(among_bad, range(len(among_bad)))) == sum(alone)


@SETTINGS
@given(st.lists(sent_by_hand(), min_size=1, max_size=20))
def test_every_legal_encoding_is_accepted(messages: list[Sent]) -> None:
    assert check(batch_of(messages, range(len(messages)))) == len(messages)


@settings(SETTINGS, max_examples=40)
@given(st.data())
def test_every_flaw_is_refused(data: st.DataObject) -> None:
    messages = [data.draw(sent_by_hand(flaw=flaw)) for flaw in FLAWS]

    assert check(batch_of(messages, range(len(messages)))) == 0
