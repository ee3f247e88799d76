"""What is valid comes out as it went in; what is not is poison, found quickly and with little memory."""

import math
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.codec import decode, encode, frame
from schemas.errors import PoisonError
from schemas.fields import Direction, Severity, Source
from schemas.models import AnalysisRequest, DeadLetter, Insight, Reading, Record, Sample
from schemas.registry import BY_ID, CURRENT

SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

letters_of_names = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/+#")
names = st.text(letters_of_names, min_size=1, max_size=128)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
uuids = st.uuids().map(str)
finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [-0.0, 5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 2.2250738585072014e-308]
)
shares = st.floats(0.0, 1.0)
amounts = st.floats(0.0, allow_infinity=False)
longs = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 2**63 - 1)
ints = st.integers(-(2**31), 2**31 - 1)
zones = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def has_a_date(moment: datetime) -> bool:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


# From the first to the last microsecond that a datetime has.
moments = st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 1, UTC)]
) | st.datetimes(timezones=st.just(UTC) | zones).map(lambda ts: ts.replace(fold=0)).filter(has_a_date)

samples = st.lists(st.builds(Sample, ts=moments, value=finite), max_size=4)
somewhere: dict[str, st.SearchStrategy[Any]] = {
    "id": uuids,
    "region": storable,
    "tenant": storable,
    "device_id": names,
    "metric": names,
    "window_start": moments,
    "window_end": moments,
    "kind": storable,
    "severity": st.sampled_from(Severity),
    "topic": storable,
    "partition": st.integers(0, 2**31 - 1),
    "first_offset": counts,
    "last_offset": counts,
}
readings = st.builds(
    Reading,
    device_id=names,
    ts=moments,
    metrics=st.dictionaries(names, finite, min_size=1, max_size=5),
    units=st.dictionaries(texts, texts, max_size=3),
    tags=st.dictionaries(texts, texts, max_size=3),
    seq=st.none() | longs,
)
requests = st.builds(
    AnalysisRequest,
    **somewhere,
    device_class=storable,
    unit=storable,
    direction=st.sampled_from(Direction),
    score=shares,
    value=finite,
    baseline=finite,
    spread=finite,
    accepted=moments,
    samples=samples,
    question=st.none() | storable,
)
insights = st.builds(
    Insight,
    **somewhere,
    request_id=uuids,
    summary=storable,
    probable_causes=st.lists(storable, max_size=3),
    recommended_actions=st.lists(storable, max_size=3),
    confidence=shares,
    source=st.sampled_from(Source),
    model=st.none() | storable,
    prompt_hash=st.none() | storable,
    prompt_tokens=counts,
    completion_tokens=counts,
    cost_usd=amounts,
    latency_s=amounts,
    created=moments,
)
letters = st.builds(
    DeadLetter,
    id=texts,
    region=texts,
    stage=texts,
    reason=texts,
    detail=texts,
    topic=texts,
    partition=st.none() | ints,
    offset=st.none() | longs,
    accepted=st.none() | moments,
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=300),
    headers=st.dictionaries(texts, st.binary(max_size=10), max_size=3),
    created=moments,
)
records: st.SearchStrategy[Record] = st.one_of(readings, requests, insights, letters)


@SETTINGS
@given(records)
def test_what_is_valid_comes_out_as_it_went_in(record: Record) -> None:
    back = decode(encode(record), type(record))

    assert back == record
    # Equality does not tell -0.0 from 0.0, nor str from an enumeration's member.
    assert repr(back) == repr(record)


@SETTINGS
@given(readings, st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_value_that_is_not_finite_is_refused_by_the_model_and_by_the_codec(reading: Reading, value: float) -> None:
    with pytest.raises(ValidationError):
        Reading.model_validate({**reading.model_dump(), "metrics": {**reading.metrics, "bad": value}})
    with pytest.raises(PoisonError, match="invalid"):
        decode(encode(reading.model_copy(update={"metrics": {**reading.metrics, "bad": value}})), Reading)


def only_poison(data: bytes, model: type[Record]) -> None:
    """Decode, and hold that bad bytes give `PoisonError` alone, in little time; what is read can be written again."""
    started = time.process_time()
    try:
        record = decode(data, model)
    except PoisonError as error:
        assert error.reason  # noqa: PT017  # there is more than one way to be right
    else:
        assert decode(encode(record), model) == record
    assert time.process_time() - started < 1.0


models = st.sampled_from(list(CURRENT))


@SETTINGS
@given(st.binary(max_size=200), models)
@example(b"", Reading)
@example(b"\x00" * 64, Reading)
@example(b"\xff" * 64, Reading)
def test_arbitrary_bytes(data: bytes, model: type[Record]) -> None:
    only_poison(data, model)


@SETTINGS
@given(st.binary(max_size=200), models)
@example(b"\x02d\x00" + b"\xff" * 9 + b"\x01", Reading)
@example(b"\x02d\x00" + b"\xfe" + b"\xff" * 8 + b"\x01", Reading)
@example(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", Reading)
def test_arbitrary_bodies(body: bytes, model: type[Record]) -> None:
    only_poison(frame(CURRENT[model].id) + body, model)


byte_runs = st.binary(min_size=1, max_size=11) | st.sampled_from(
    [b"\x00", b"\x01", b"\xff" * 9 + b"\x01", b"\xfe\xff\xff\xff\x0f", b"\x80" * 10, b"\xff" * 11]
)


@settings(SETTINGS, max_examples=300)
@given(records, st.data())
def test_damaged_records(record: Record, data: st.DataObject) -> None:
    encoded = encode(record)
    at = data.draw(st.integers(0, len(encoded)))
    gone = data.draw(st.integers(0, 3))
    only_poison(encoded[:at] + data.draw(byte_runs) + encoded[at + gone :], type(record))


@SETTINGS
@given(records, st.data())
def test_a_record_that_is_too_short_or_too_long(record: Record, data: st.DataObject) -> None:
    encoded = encode(record)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for damaged in (encoded[:cut], encoded + data.draw(st.binary(min_size=1, max_size=5))):
        with pytest.raises(PoisonError):
            decode(damaged, type(record))


@SETTINGS
@given(records, models, st.integers(0, 2**32 - 1))
def test_another_schema(record: Record, other: type[Record], schema_id: int) -> None:
    assume(other is not type(record) and schema_id not in BY_ID)
    encoded = encode(record)
    for data, model in ((encoded, other), (frame(schema_id) + encoded[5:], type(record))):
        with pytest.raises(PoisonError, match="schema"):
            decode(data, model)


HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # 2**63-1
LARGE = b"\x80\x80\x80\x80\x20"  # 2**32
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "a name": lambda number: number + b"d",
    "entries": lambda number: b"\x02d\x00" + number + b"\x02a",
    "entries with a size": lambda number: b"\x02d\x00\x01" + number + b"\x02a",
    "a key": lambda number: b"\x02d\x00\x02" + number + b"a",
}


@pytest.mark.parametrize("number", [HUGE, LARGE], ids=["huge", "large"])
@pytest.mark.parametrize("what", BODIES)
def test_a_length_is_not_believed(what: str, number: bytes) -> None:
    data = frame(7101) + BODIES[what](number)
    with pytest.raises(PoisonError):
        decode(data, Reading)
    tracemalloc.start()
    try:
        with pytest.raises(PoisonError):
            decode(data, Reading)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
