"""Whatever a device sends, the bridge gets readings or a `PoisonError`, and what is valid comes out as it went in."""

import json
import math
import string
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from connectors.mqtt.payloads import readings
from schemas import codec
from schemas.errors import PoisonError
from schemas.fields import is_name
from schemas.models import Reading

ARRIVED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEVICE = "pump-7"
REASONS = {
    "topic",
    "size",
    "empty",
    "encoding",
    "json",
    "form",
    "device",
    "time",
    "future",
    "value",
    "senml",
    "invalid",
}
CODEC_REASONS = {"framing", "schema", "avro"}
TOPIC = f"devices/{DEVICE}/readings"

names = st.text(min_size=1, max_size=20).filter(is_name)
finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001  # hypothesis wants naive bounds
    max_value=datetime(2026, 3, 1, 13),  # noqa: DTZ001  # as above
    timezones=st.just(UTC),
)
valid = st.builds(
    Reading,
    device_id=st.just(DEVICE),
    ts=moments,
    metrics=st.dictionaries(names, finite, min_size=1, max_size=5),
    units=st.dictionaries(names, texts, max_size=3),
    tags=st.dictionaries(texts, texts, max_size=3),
    seq=st.none() | st.integers(-(2**63), 2**63 - 1),
)

# JSON built from the labels that mean something, so that examples get past the first check.
labels = st.sampled_from(
    [
        "ts",
        "metrics",
        "units",
        "tags",
        "seq",
        "device_id",
        "n",
        "v",
        "t",
        "u",
        "bn",
        "bt",
        "bu",
        "bv",
        "bver",
        "vs",
        "s",
    ]
) | st.text(max_size=4)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2)
    | st.sampled_from([DEVICE, f"{DEVICE}:", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", 1e308, -1e308])
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(labels, inner, max_size=5), max_leaves=12
)
packs = st.lists(st.dictionaries(labels, scalars, max_size=6), min_size=1, max_size=5)


def only_poison(topic: str, payload: bytes) -> None:
    found: list[Reading] = []
    refused: PoisonError | None = None
    try:
        found = readings(topic, payload, ARRIVED)
    except PoisonError as error:
        refused = error
    if refused is not None:
        assert refused.reason in REASONS | CODEC_REASONS
        assert len(refused.detail) < 1000
        return
    assert found
    for reading in found:
        assert reading.device_id == topic.split("/")[1]
        assert all(math.isfinite(value) for value in reading.metrics.values())
        assert codec.decode(codec.encode(reading), Reading) == reading


@given(st.binary(max_size=300))
@example(b"\x00")
@example(b'{"a": NaN}')
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
@example(b'{"a": ' + b"9" * 5000 + b"}")
@example(b'{"a": 1e999}')
@example(b'{"a": 1, "a": 1}')
@example(b"\xef\xbb\xbf{}")
def test_arbitrary_bytes(payload: bytes) -> None:
    only_poison(TOPIC, payload)


@given(st.binary(max_size=100))
def test_arbitrary_avro_bodies(body: bytes) -> None:
    only_poison(TOPIC, codec.frame(7101) + body)


@given(valid, st.data())
def test_damaged_avro(reading: Reading, data: st.DataObject) -> None:
    encoded = bytearray(codec.encode(reading))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    only_poison(TOPIC, bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))


@given(documents | packs)
def test_arbitrary_json(document: object) -> None:
    only_poison(TOPIC, json.dumps(document).encode())


@given(st.text(max_size=200))
def test_arbitrary_topics(topic: str) -> None:
    only_poison(topic, b'{"a": 1}')
    only_poison(f"devices/{topic}/readings", b'{"a": 1}')


@given(valid)
def test_avro_comes_out_as_it_went_in(reading: Reading) -> None:
    assert readings(TOPIC, codec.encode(reading), ARRIVED) == [reading]


@given(valid, st.booleans())
def test_native_comes_out_as_it_went_in(reading: Reading, in_a_list: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
    document = reading.model_dump(mode="json")
    payload = json.dumps([document, document] if in_a_list else document).encode()
    assert readings(TOPIC, payload, ARRIVED) == [reading] * (2 if in_a_list else 1)


@given(st.dictionaries(names.filter(lambda name: name not in Reading.model_fields), finite, min_size=1, max_size=5))
def test_flat_has_the_time_of_arrival(metrics: dict[str, float]) -> None:
    metrics.pop("metrics", None)
    payload = json.dumps(metrics).encode()
    assert readings(TOPIC, payload, ARRIVED) == [Reading(device_id=DEVICE, ts=ARRIVED, metrics=metrics)]


senml_names = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
offsets = st.integers(-(2**20), 3000)


@given(st.dictionaries(st.tuples(senml_names, offsets), finite, min_size=1, max_size=8), st.randoms())
def test_senml_keeps_every_value_at_its_time(points: dict[tuple[str, int], float], shuffle: Random) -> None:
    records: list[dict[str, Any]] = [{"n": name, "t": offset, "v": value} for (name, offset), value in points.items()]
    shuffle.shuffle(records)
    records[0]["bn"] = f"urn:dev:mac:{DEVICE}:"
    found = readings(TOPIC, json.dumps(records).encode(), ARRIVED)
    assert [reading.ts for reading in found] == sorted({ARRIVED + timedelta(seconds=at) for _, at in points})
    seen = {(name, reading.ts): value for reading in found for name, value in reading.metrics.items()}
    assert seen == {(name, ARRIVED + timedelta(seconds=at)): value for (name, at), value in points.items()}
