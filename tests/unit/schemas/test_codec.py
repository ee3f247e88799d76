"""The wire format, byte by byte, and what the codec refuses."""

import struct
from datetime import UTC, datetime

import pytest

from schemas.codec import decode, decode_dict, encode, frame, schema_of
from schemas.errors import PoisonError
from schemas.models import AnalysisRequest, DeadLetter, Insight, Reading, Record
from schemas.registry import BY_ID, CURRENT, READING, SchemaVersion

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE = struct.pack("<d", 1.0)
# device "d", ts 0, metrics {"a": 1.0}, no units, no tags, seq null
BODY = b"\x02d\x00\x02\x02a" + ONE + b"\x00\x00\x00\x00"


def refused(data: bytes, model: type[Record] = Reading) -> str:
    with pytest.raises(PoisonError) as caught:
        decode(data, model)
    assert caught.value.detail
    return caught.value.reason


def test_confluents_framing_and_avros_bytes() -> None:
    reading = Reading(device_id="d", ts=EPOCH, metrics={"a": 1.0})

    assert encode(reading) == b"\x00" + (7101).to_bytes(4, "big") + BODY
    assert decode(b"\x00\x00\x00\x1b\xbd" + BODY, Reading) == reading


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00\x1b", b"\x01\x00\x00\x1b\xbd" + BODY, b"\xff" * 30])
def test_other_framings(data: bytes) -> None:
    assert refused(data) == "framing"


@pytest.mark.parametrize("schema_id", [0, 1, 7100, 7102, 2**32 - 1])
def test_unknown_ids(schema_id: int) -> None:
    assert refused(b"\x00" + schema_id.to_bytes(4, "big") + BODY) == "schema"


@pytest.mark.parametrize("version", BY_ID.values(), ids=lambda version: version.name)
@pytest.mark.parametrize("model", [Reading, AnalysisRequest, Insight, DeadLetter])
def test_a_record_is_never_taken_for_another(version: SchemaVersion, model: type[Record]) -> None:
    if version.model is not model:
        assert refused(frame(version.id) + BODY, model) == "schema"
    assert schema_of(frame(version.id)) is version


def test_every_truncation_and_every_surplus() -> None:
    data = frame(7101) + BODY
    assert {refused(data[:end]) for end in range(5, len(data))} == {"avro"}
    assert refused(data + b"\x00") == "avro"
    assert refused(data + data) == "avro"


@pytest.mark.parametrize(
    "body",
    [
        b"\x02\xff" + BODY[2:],  # not UTF-8
        b"\x06\xed\xa0\x80" + BODY[2:],  # a lone surrogate
        b"\xfe\xff\xff\xff\x0f" + BODY[2:],  # two gigabytes of name
        b"\x01" + BODY[1:],  # a length of -1
        b"\x02d" + b"\xfe" + b"\xff" * 8 + b"\x01" + BODY[3:],  # an instant beyond all dates
        b"\x02d\x00" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" + BODY[4:],  # 2**63-1 metrics
        BODY[:-1] + b"\x04",  # a branch that the union has not
    ],
)
def test_bodies_that_are_not_avro(body: bytes) -> None:
    assert refused(frame(7101) + body) == "avro"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"\x02d\x00\x04\x02a" + ONE + b"\x02a" + ONE + b"\x00\x00\x00\x00", "metrics"),
        (b"\x02d\x00\x02\x02a" + ONE + b"\x02\x02a" + ONE + b"\x00\x00\x00\x00", "metrics"),
        (BODY[:-3] + b"\x04\x02a\x00\x02a\x00\x00" + b"\x00\x00", "units"),
        (BODY[:-2] + b"\x04\x02a\x00\x02a\x02x\x00" + b"\x00", "tags"),
    ],
    ids=["in one block", "in two blocks", "units", "tags"],
)
def test_a_name_that_comes_twice_is_refused_not_lost(body: bytes, where: str) -> None:
    with pytest.raises(PoisonError, match=where) as caught:
        decode(frame(7101) + body, Reading)
    assert caught.value.reason == "twice"


def test_maps_in_several_blocks_and_with_sizes() -> None:
    entries = b"\x02\x02a" + ONE + b"\x01\x14\x02b" + ONE
    reading = decode(frame(7101) + b"\x02d\x00" + entries + b"\x00\x00\x00\x00", Reading)

    assert reading.metrics == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    "body",
    [
        b"\x02/" + BODY[2:],
        b"\x00" + BODY[2:],
        b"\x02d\x00\x00\x00\x00\x00",
        b"\x02d\x00\x02\x02#" + ONE + b"\x00\x00\x00\x00",
        b"\x02d\x00\x02\x02a" + struct.pack("<d", float("nan")) + b"\x00\x00\x00\x00",
        b"\x02d\x00\x02\x02a" + struct.pack("<d", float("-inf")) + b"\x00\x00\x00\x00",
    ],
)
def test_what_breaks_a_rule_of_the_model(body: bytes) -> None:
    assert decode_dict(frame(7101) + body, READING)
    assert refused(frame(7101) + body) == "invalid"


def test_the_detail_names_the_field() -> None:
    with pytest.raises(PoisonError, match="invalid: metrics: "):
        decode(frame(7101) + b"\x02d\x00\x00\x00\x00\x00", Reading)


def test_each_model_has_its_schema() -> None:
    assert {model.__name__ for model in CURRENT} == {"Reading", "AnalysisRequest", "Insight", "DeadLetter"}
