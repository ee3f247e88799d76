import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors.http import payload
from schemas import codec
from schemas.errors import PoisonError
from schemas.models import Reading

ARRIVED = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(body: bytes | str, *, lines: bool = False) -> payload.Content:
    return payload.read(body.encode() if isinstance(body, str) else body, lines=lines, arrived=ARRIVED)


def decoded(content: payload.Content) -> list[Reading]:
    return [codec.decode(value, Reading) for _key, value in content.records]


def test_one_object_with_everything() -> None:
    content = read(
        json.dumps(
            {
                "device_id": "pump-7",
                "ts": "2026-03-01T11:59:00",
                "metrics": {"temperature": 21.5, "starts": 3},
                "units": {"temperature": "Cel"},
                "tags": {"class": "pump"},
                "seq": 9,
            }
        )
    )
    assert content.rejected == []
    assert content.records[0][0] == b"pump-7"
    assert decoded(content) == [
        Reading(
            device_id="pump-7",
            ts=datetime(2026, 3, 1, 11, 59, tzinfo=UTC),
            metrics={"temperature": 21.5, "starts": 3.0},
            units={"temperature": "Cel"},
            tags={"class": "pump"},
            seq=9,
        )
    ]


def test_without_ts_it_is_the_time_of_arrival() -> None:
    assert decoded(read('{"device_id":"d","metrics":{"m":1}}'))[0].ts == ARRIVED


def test_a_list_keeps_its_order_and_names_what_is_wrong_by_place() -> None:
    a, b, wrong = (f'{{"device_id":"{device}","metrics":{{"m":1}}}}' for device in ("a", "b", "a/b"))
    content = read(f"[{a}, 7, {b}, {wrong}]")
    assert [key for key, _value in content.records] == [b"a", b"b"]
    assert [(r.index, r.reason) for r in content.rejected] == [(1, "form"), (3, "invalid")]
    assert content.rejected[1].detail.startswith("device_id: ")


def test_ndjson_names_lines_and_passes_over_blank_ones() -> None:
    content = read(
        b'{"device_id":"a","metrics":{"m":1}}\r\n\n{"device_id":\n{"device_id":"b","metrics":{"m":2}}', lines=True
    )
    assert [key for key, _value in content.records] == [b"a", b"b"]
    assert [(r.index, r.reason) for r in content.rejected] == [(2, "json")]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ('{"metrics":{"m":1}}', "invalid"),
        ('{"device_id":"d"}', "invalid"),
        ('{"device_id":"d","metrics":{}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":"1"}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":true}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":null}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":NaN}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":-Infinity}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":1e999}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":1' + "0" * 400 + "}}", "invalid"),
        ('{"device_id":"d","metrics":{"m":1},"other":1}', "invalid"),
        ('{"device_id":"d","metrics":{"m":1},"seq":1.5}', "invalid"),
        ('{"device_id":"d","metrics":{"m":1},"tags":{"t":"\\ud800"}}', "invalid"),
        ('{"device_id":"\\ud800","metrics":{"m":1}}', "invalid"),
        ('{"device_id":"d","metrics":{"m\\u0000":1}}', "invalid"),
        ('{"device_id":"d","metrics":{"m":1,"m":2}}', "json"),
        ('{"device_id":"d","device_id":"e","metrics":{"m":1}}', "json"),
        ('{"device_id":"d","metrics":{"m":1},"ts":"noon"}', "time"),
        ('{"device_id":"d","metrics":{"m":1},"ts":null}', "time"),
        ('{"device_id":"d","metrics":{"m":1},"ts":"2026-03-01T13:00:01"}', "future"),
        ('{"device_id":"d","metrics":{"m":1},"tags":{"t":"' + "x" * 900_000 + '"}}', "size"),
        ("[]", "form"),
        ("null", "form"),
    ],
)
def test_what_is_refused_does_not_take_its_neighbour_along(item: str, reason: str) -> None:
    content = read(f'[{item}, {{"device_id":"good","metrics":{{"m":1}}}}]')
    assert [key for key, _value in content.records] == [b"good"]
    assert [(r.index, r.reason) for r in content.rejected] == [(0, reason)]
    json.dumps(content.rejected[0].body(), ensure_ascii=False).encode()  # can be said over HTTP


def test_an_hour_ahead_is_taken() -> None:
    at = (ARRIVED + timedelta(hours=1)).isoformat()
    assert len(read(json.dumps({"device_id": "d", "ts": at, "metrics": {"m": 1}})).records) == 1


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"[]", b"{", b"\xff", b"[" * 100_000, b"1" * 5_000, b'{"device_id":"d"} {"device_id":"d"}']
)
def test_a_body_that_says_nothing_usable_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(PoisonError):
        read(body)


def test_the_number_of_items_is_bounded() -> None:
    item = '{"device_id":"d","metrics":{"m":1}}'
    assert len(read("\n".join([item] * payload.MAX_ITEMS), lines=True).records) == payload.MAX_ITEMS
    for body, lines in (
        ("\n".join([item] * (payload.MAX_ITEMS + 1)), True),
        ("[" + "1," * payload.MAX_ITEMS + "1]", False),
    ):
        with pytest.raises(payload.TooManyError):
            read(body, lines=lines)
