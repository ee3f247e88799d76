"""Which records a replay takes."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from confluent_kafka import Message

from schemas.codec import encode
from schemas.models import Reading
from schemas.origin import headers, place
from schemas.registry import READING
from streams.replay import selection
from streams.replay.expression import Expression, ExpressionError
from streams.replay.selection import Chooser, Selection
from tests.fakes.records import FakeRecord

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
KNOWN = "0b9f3c9e-9d1c-4f6a-8e0a-2f2f3c1d9b10"
SECRET = b"s" * 32
UNKNOWN = "11111111-9d1c-4f6a-8e0a-2f2f3c1d9b10"


def record(
    device: str, offset: int = 0, metrics: dict[str, float] | None = None, copy_of: str | None = None
) -> Message:
    value = encode(Reading(device_id=device, ts=START, metrics=metrics or {"t": 1.0}, tags={"site": "hall 4"}))
    bears = (
        None
        if copy_of is None
        else headers(copy_of.encode(), SECRET, place(b"readings", 1, 2, 3), device.encode(), value)
    )
    return cast("Message", FakeRecord(offset, START_MS + offset, device.encode(), value, the_headers=bears))


def chooser(wanted: Selection, erased: dict[str, datetime] | None = None) -> Chooser:
    def known(ids: Collection[str]) -> Mapping[str, bytes]:
        return {one: SECRET for one in ids if one == KNOWN}

    return Chooser(wanted, READING, erased=erased or {}, known=known)


def taken(
    wanted: Selection, *records: Message, erased: dict[str, datetime] | None = None
) -> tuple[list[int], dict[str, int]]:
    chosen = chooser(wanted, erased)
    return [int(one.offset() or 0) for one in chosen.chosen(records)], dict(chosen.left_out)


RECORDS = (record("pump-1", 1), record("pump-2", 2, {"t": 90.0}), record("fan-1", 3, {"rpm": 3.0}))


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Selection(), [1, 2, 3]),
        (Selection(devices=("fan-1", "pump-1")), [1, 3]),
        (Selection(key="pump-*"), [1, 2]),
        (Selection(key="pump"), []),
        (Selection(where="key == 'fan-1' || metrics.t > 80.0"), [2, 3]),
        (Selection(where="has(metrics.t) && metrics.t < 80"), [1]),
        (Selection(where="offset > 1 && partition == 3 && topic == 'readings'"), [2, 3]),
        (Selection(where="accepted >= timestamp('2026-03-01T12:00:00.002Z')"), [2, 3]),
        (Selection(where="ts == timestamp('2026-03-01T12:00:00Z') && tags.site.contains('hall')"), [1, 2, 3]),
        (Selection(key="pump-*", devices=("pump-2", "fan-1")), [2]),
    ],
)
def test_all_that_was_asked_for_holds(wanted: Selection, offsets: list[int]) -> None:
    assert taken(wanted, *RECORDS)[0] == offsets


def test_what_cannot_be_said_of_a_record_is_counted() -> None:
    broken = cast("Message", FakeRecord(9, START_MS, b"pump-9", b"no Avro"))
    assert taken(Selection(where="metrics.t > 80.0"), *RECORDS, broken) == (
        [2],
        {selection.OTHERS: 1, selection.UNSURE: 2},
    )
    assert taken(Selection(), broken) == ([9], {})


def test_copies_are_left_out_unless_they_are_wanted_or_only_claim_to_be_some() -> None:
    copy, claim = record("pump-1", 4, copy_of=KNOWN), record("pump-1", 5, copy_of=UNKNOWN)
    assert taken(Selection(), copy, claim) == ([5], {selection.COPIES: 1})
    assert taken(Selection(copies=True), copy, claim) == ([4, 5], {})


def test_a_device_that_was_erased_stays_so() -> None:
    erased = {"pump-1": START + timedelta(milliseconds=5)}
    assert taken(Selection(), record("pump-1", 5), record("pump-1", 6), record("pump-2", 5), erased=erased) == (
        [6, 5],
        {selection.ERASED: 1},
    )


def test_a_record_without_a_value_is_left_out() -> None:
    assert taken(Selection(), cast("Message", FakeRecord(1, the_value=None))) == ([], {selection.EMPTY: 1})


@pytest.mark.parametrize("text", ["", "metrics.", "1 +", "a b", "'" + "x" * 3_000 + "'", "(" * 1_000])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text, READING)


@pytest.mark.parametrize("text", ["1", "device_id", "metrics", "[1]"])
def test_an_expression_says_yes_or_no(text: str) -> None:
    with pytest.raises(ExpressionError, match="true or false"):
        Expression(text, READING).holds(RECORDS[0])


def test_a_topic_that_is_none_of_ours_has_its_coordinates() -> None:
    assert Expression("key == 'pump-1' && offset == 1", None).holds(RECORDS[0])
    assert Expression("device_id == 'pump-1'", None).holds(RECORDS[0]) is None
