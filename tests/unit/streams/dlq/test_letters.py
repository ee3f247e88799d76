"""Which letters are meant, what they say, and how they are shown."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.timescale.handled import Handled
from schemas.codec import encode
from schemas.models import DeadLetter, Reading
from streams.app.dlq import Found
from streams.cli.dlq_shown import hexdump
from streams.cli.plain import plain
from streams.dlq.letter import Letter
from streams.dlq.selection import Selection
from streams.replay.expression import Expression, ExpressionError

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def letter(**change: Any) -> Letter:  # noqa: ANN401  # fields of a letter
    value = encode(Reading(device_id="pump-1", ts=START, metrics={"t": 1.0}))
    fields = {"id": "a", "stage": "ingest", "reason": "key", "topic": "readings", "key": b"pump-1", "value": value}
    return Letter(DeadLetter(**(fields | {"created": START} | change)), 0, 0)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        ({}, True),
        ({"ids": {"a", "b"}, "stages": {"ingest"}, "reasons": {"key"}, "devices": {"pump-1"}}, True),
        ({"ids": {"b"}}, False),
        ({"stages": {"ingest"}, "reasons": {"framing"}}, False),
        ({"topics": {"eu.readings"}}, False),
        ({"where": Expression("metrics.t < 2.0 && reason == 'key' && key == device_id")}, True),
        ({"where": Expression("metrics.t > 2.0")}, False),
        ({"where": Expression("metrics.none > 2.0")}, False),
        ({"where": Expression("accepted >= timestamp('2026-03-01T12:00:00Z')")}, True),
    ],
)
def test_all_that_is_asked_for_has_to_hold(wanted: dict[str, Any], holds: bool) -> None:  # noqa: FBT001  # a parameter
    assert Selection(**wanted).holds(letter()) is holds
    assert Selection(**wanted).is_all is (not wanted)


def test_an_expression_says_yes_or_no() -> None:
    with pytest.raises(ExpressionError, match="true or false"):
        Selection(where=Expression("reason")).holds(letter())


@pytest.mark.parametrize(
    ("change", "content"),
    [
        ({}, {"device_id": "pump-1", "ts": START, "metrics": {"t": 1.0}, "units": {}, "tags": {}, "seq": None}),
        ({"topic": "eu.readings"}, ...),
        ({"value": b"rubbish"}, None),
        ({"value": None}, None),
        ({"stage": "mqtt", "topic": "devices/pump-1/readings", "value": b'{"t": 1}'}, {"t": 1}),
        ({"stage": "mqtt", "value": b"[1]"}, None),
        ({"stage": "mqtt", "value": b"[" * 100_000}, None),
        ({"stage": "webhook", "topic": "insights", "value": b'{"id": "7"}'}, {"id": "7"}),
        ({"topic": "somebody-elses", "value": b'{"t": 1}'}, {"t": 1}),
    ],
)
def test_what_its_bytes_say(change: dict[str, Any], content: object) -> None:
    found = letter(**change).content()
    assert found == (letter().content() if content is ... else content)
    json.dumps(letter(**change).facts(), default=str)


def test_nothing_that_a_terminal_acts_on_is_printed() -> None:
    assert plain("\x1b[31mrot\u202e\n日本\udc80") == "\\x1b[31mrot\\u202e\\n日本\\udc80"
    assert hexdump(bytes(range(20)) + b"az~\x7f\xff") == (
        "  00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................\n"
        "  00000010  10 11 12 13 61 7a 7e 7f ff                       ....az~.."
    )


def test_a_letter_is_open_again_by_its_place_in_the_log_whatever_the_clocks_say() -> None:
    done = Handled("a", "redriven", START + timedelta(days=1), partition=0, until=10)
    said = letter().said
    # It stood there when it was redriven, and again as a crash has it, since letters are written at least once.
    assert not Found(Letter(said, 0, 3), done).is_open
    assert not Found(Letter(said, 0, 9), done).is_open
    # It was refused once more: by a worker whose clock is behind that of whoever redrove it.
    back = Found(Letter(said, 0, 10), done)
    assert (back.is_open, back.came_back) == (True, True)
    assert Found(Letter(said, 1, 3), done).is_open
    assert (Found(letter(), None).is_open, Found(letter(), None).came_back) == (True, False)
