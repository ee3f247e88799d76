"""The four forms of a payload, and what is refused with which reason."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.mqtt.payloads import MAX_PAYLOAD, readings
from connectors.mqtt.senml import MAX_READINGS
from schemas import codec
from schemas.errors import PoisonError
from schemas.models import Reading

ARRIVED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TOPIC = "devices/pump-7/readings"


def read(content: object, topic: str = TOPIC) -> list[Reading]:
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return readings(topic, payload, ARRIVED)


def reason(content: object, topic: str = TOPIC) -> str:
    with pytest.raises(PoisonError) as caught:
        read(content, topic)
    return caught.value.reason


def test_native_with_everything() -> None:
    document = {
        "device_id": "pump-7",
        "ts": "2026-03-01T10:00:00+02:00",
        "metrics": {"temperature": 21.5, "cycles": 3},
        "units": {"temperature": "Cel"},
        "tags": {"class": "pump"},
        "seq": 7,
    }
    assert read(document) == [
        Reading(
            device_id="pump-7",
            ts=datetime(2026, 3, 1, 8, tzinfo=UTC),
            metrics={"temperature": 21.5, "cycles": 3.0},
            units={"temperature": "Cel"},
            tags={"class": "pump"},
            seq=7,
        )
    ]


def test_flat_keeps_the_meaning_of_the_fields() -> None:
    assert read({"temperature": 21.5}) == [Reading(device_id="pump-7", ts=ARRIVED, metrics={"temperature": 21.5})]
    [reading] = read({"temperature": 21.5, "ts": 1_700_000_000, "seq": 1, "tags": {"a": "b"}})
    assert (reading.ts.year, reading.seq, reading.tags, reading.metrics) == (2023, 1, {"a": "b"}, {"temperature": 21.5})


def test_a_list_of_objects() -> None:
    found = read([{"a": 1}, {"ts": "2026-03-01", "metrics": {"a": 2}}])
    assert [(one.ts.hour, one.metrics["a"]) for one in found] == [(12, 1.0), (0, 2.0)]


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        ("2026-01-02T03:04:05.678901", datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)),
        ("2026-01-02 03:04:05", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
        ("2026-01-02T03:04:05-01:30", datetime(2026, 1, 2, 4, 34, 5, 0, UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1.5, datetime(1969, 12, 31, 23, 59, 58, 500000, UTC)),
        (1_767_323_045, datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
        (1_767_323_045.25, datetime(2026, 1, 2, 3, 4, 5, 250000, UTC)),
        (1_767_323_045_250, datetime(2026, 1, 2, 3, 4, 5, 250000, UTC)),
        (1_767_323_045_250_001, datetime(2026, 1, 2, 3, 4, 5, 250001, UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, 0, UTC)),
        (100_000_000_000_000, datetime(1973, 3, 3, 9, 46, 40, 0, UTC)),
    ],
)
def test_times(ts: object, expected: datetime) -> None:
    assert read({"ts": ts, "metrics": {"a": 1}})[0].ts == expected


@pytest.mark.parametrize("ts", ["", "noon", "2026-13-01", None, True, [], 10**30, -(10**17), "0001-01-01T00:00+14:00"])
def test_times_that_are_none(ts: object) -> None:
    assert reason({"ts": ts, "metrics": {"a": 1}}) == "time"


def test_an_hour_ahead_is_the_limit() -> None:
    read({"ts": (ARRIVED + timedelta(hours=1)).isoformat(), "metrics": {"a": 1}})
    assert reason({"ts": (ARRIVED + timedelta(hours=1, microseconds=1)).isoformat(), "metrics": {"a": 1}}) == "future"
    ahead = Reading(device_id="pump-7", ts=ARRIVED + timedelta(hours=2), metrics={"a": 1})
    assert reason(codec.encode(ahead)) == "future"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "empty"),
        (b"[]", "empty"),
        (b"{", "json"),
        (b'{"a": 1} x', "json"),
        (b"[" * 100_000, "json"),
        (b'{"a": 1, "a": 2}', "json"),
        (b'{"metrics": {"a": 1, "a": 1}}', "json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "json"),
        (b"\xff", "encoding"),
        (b'"text"', "form"),
        (b"1", "form"),
        (b"null", "form"),
        (b"[1]", "form"),
        (b'{"metrics": 1}', "form"),
        (b'{"metrics": {"a": 1}, "temperature": 2}', "form"),
        (b'{"a": 1, "units": {"a": 1}}', "form"),
        (b'{"a": 1, "tags": []}', "form"),
        (b'{"a": 1, "seq": "1"}', "form"),
        (b'{"a": 1, "seq": true}', "form"),
        (b'{"a": 1, "seq": 1.0}', "form"),
        (b'{"a": NaN}', "value"),
        (b'{"a": -Infinity}', "value"),
        (b'{"a": 1e999}', "value"),
        (b'{"a": 1' + b"0" * 400 + b"}", "value"),
        (b'{"a": true}', "value"),
        (b'{"a": "1"}', "value"),
        (b'{"a": null}', "value"),
        (b'{"a": {"b": 1}}', "value"),
        (b'{"metrics": {"good": 1, "bad": "x"}}', "value"),
        (b"{}", "invalid"),
        (b'{"metrics": {}}', "invalid"),
        (b'{"a/b": 1}', "invalid"),
        (b'{"\\ud800": 1}', "invalid"),
        (b'{"a": 1, "tags": {"a": "\\ud800"}}', "invalid"),
        (b'{"a": 1, "seq": 9223372036854775808}', "invalid"),
        (b'{"a": 1, "device_id": "pump-8"}', "device"),
        (b'{"a": 1, "device_id": 7}', "device"),
        (b"\x00", "framing"),
        (b"\x00\x00\x00\x00\x01", "schema"),
        (codec.frame(7101), "avro"),
        (codec.encode(Reading(device_id="pump-8", ts=ARRIVED, metrics={"a": 1})), "device"),
        (codec.encode(Reading(device_id="pump-7", ts=ARRIVED, metrics={"a": 1})) + b"!", "avro"),
    ],
)
def test_what_is_refused(payload: bytes, expected: str) -> None:
    assert reason(payload) == expected


@pytest.mark.parametrize(
    "topic",
    ["", "devices/a", "devices//readings", "devices/a/b/readings", "sensors/a/readings", "devices/a\x07/readings"],
)
def test_topics_that_name_no_device(topic: str) -> None:
    assert reason({"a": 1}, topic) == "topic"


def test_size_is_bounded() -> None:
    read(b'{"a": 1}'.ljust(MAX_PAYLOAD))
    assert reason(b'{"a": 1}'.ljust(MAX_PAYLOAD + 1)) == "size"
    assert len(read([{"a": 1}] * MAX_READINGS)) == MAX_READINGS
    assert reason([{"a": 1}] * (MAX_READINGS + 1)) == "size"
    assert reason([{"n": "a", "v": 1, "t": -at} for at in range(MAX_READINGS + 1)]) == "size"
    assert reason([{"n": "a", "v": value} for value in range(MAX_READINGS + 1)]) == "size"


def senml(*records: dict[str, Any]) -> list[tuple[float, dict[str, float], dict[str, str]]]:
    """The readings of a pack: seconds from the arrival, metrics, units."""
    return [((one.ts - ARRIVED).total_seconds(), one.metrics, one.units) for one in read(list(records))]


def test_senml_resolves_base_values() -> None:
    # After RFC 8428, section 5.1.2.
    assert senml(
        {"bn": "urn:dev:ow:pump-7:", "bt": -60, "bu": "A", "bver": 5, "n": "voltage", "u": "V", "v": 120.1},
        {"n": "current", "t": -5, "v": 1.2},
        {"n": "current", "t": -4, "v": 1.3},
        {"n": "voltage", "t": -4, "u": "V", "v": 120.2},
    ) == [
        (-65.0, {"current": 1.2}, {"current": "A"}),
        (-64.0, {"current": 1.3, "voltage": 120.2}, {"current": "A", "voltage": "V"}),
        (-60.0, {"voltage": 120.1}, {"voltage": "V"}),
    ]


def test_senml_times() -> None:
    assert read([{"n": "a", "v": 1, "t": 1_767_323_045}])[0].ts == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert read([{"bt": 1_767_323_000, "n": "a", "v": 1, "t": 45.5}])[0].ts == datetime(
        2026, 1, 2, 3, 4, 5, 500000, UTC
    )
    assert senml({"n": "a", "v": 1}) == [(0.0, {"a": 1.0}, {})]
    assert reason([{"n": "a", "v": 1, "t": 2**28 - 1}]) == "future"
    assert reason([{"n": "a", "v": 1, "t": 1e300}]) == "time"


def test_senml_base_value_and_base_only_records() -> None:
    assert senml({"bn": "pump-7:", "bv": 20}, {"n": "a", "v": 1.5}, {"n": "b"}) == [(0.0, {"a": 21.5, "b": 20.0}, {})]


@pytest.mark.parametrize(
    ("base", "name", "metric"),
    [
        (None, "temperature", "temperature"),
        (None, "pump-7:temperature", "temperature"),
        (None, "urn:dev:mac:pump-7:temperature", "temperature"),
        ("pump-7", "temperature", "temperature"),
        ("pump-7:", "temperature", "temperature"),
        ("pump-7_", "temperature", "temperature"),
        ("urn:dev:mac:pump-7/", "temperature", "temperature"),
        ("urn:dev:mac:", "pump-7:temperature", "temperature"),
        ("urn:dev:mac:pump-7:temperature", None, "temperature"),
        ("pump-7:", "a:b", "a:b"),
    ],
)
def test_senml_names(base: str | None, name: str | None, metric: str) -> None:
    record = {"v": 1} | ({"bn": base} if base else {}) | ({"n": name} if name else {})
    assert senml(record) == [(0.0, {metric: 1.0}, {})]


@pytest.mark.parametrize("base", ["pump-77:", "pump-8:", "xpump-7:", "urn:dev:mac:xpump-7:", "sensors/"])
def test_senml_of_another_device(base: str) -> None:
    assert reason([{"bn": base, "n": "temperature", "v": 1}]) == "device"


def test_senml_keeps_both_of_two_values_for_one_instant() -> None:
    assert senml({"n": "a", "v": 1}, {"n": "b", "v": 5}, {"n": "a", "v": 2}, {"n": "a", "v": 1}) == [
        (0.0, {"a": 1.0, "b": 5.0}, {}),
        (0.0, {"a": 2.0}, {}),
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"n": "a"}, "senml"),
        ({"n": "a", "vs": "text"}, "senml"),
        ({"n": "a", "vb": True}, "senml"),
        ({"n": "a", "v": 1, "s": 2}, "senml"),
        ({"n": "a", "v": 1, "bver": 11}, "senml"),
        ({"n": "a", "v": 1, "important_": 1}, "senml"),
        ({"n": "a", "v": 1, "u": 3}, "senml"),
        ({"n": "a", "v": 1, "u": "x" * 600}, "senml"),
        ({"bn": "pump-7:"}, "senml"),
        ({"n": "a", "v": "1"}, "value"),
        ({"n": "a", "v": True}, "value"),
        ({"n": "a", "v": 1, "t": "now"}, "value"),
        ({"bv": 1e308, "n": "a", "v": 1e308}, "value"),
        ({"n": "a/b", "v": 1}, "invalid"),
    ],
)
def test_senml_that_is_refused(record: dict[str, Any], expected: str) -> None:
    assert reason([record]) == expected


def test_senml_ignores_labels_that_need_no_understanding() -> None:
    assert senml({"n": "a", "v": 1, "ut": 60, "vendor": {"x": 1}}) == [(0.0, {"a": 1.0}, {})]
