"""Records put right by small expressions."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.dlq.mending import Mending
from streams.replay.expression import ExpressionError, UnsureError

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORD: dict[str, Any] = {
    "device_id": "pump-1",
    "ts": START,
    "metrics": {"t": 50.0, "hall.2": 1.0},
    "tags": {},
    "seq": None,
}


def mended(sets: list[str], unsets: list[str] | None = None) -> tuple[dict[str, Any], bytes | None]:
    facts = RECORD | {"key": "pump-one", "accepted": START, "detail": "it is wrong"}
    return Mending.of(sets, unsets or []).apply(RECORD, facts, b"pump-one")


@pytest.mark.parametrize(
    ("sets", "unsets", "expected"),
    [
        (["metrics.t=(metrics.t - 32.0) / 1.8"], [], {"metrics": {"t": 10.0, "hall.2": 1.0}}),
        # Both ask of the record as it was.
        (["metrics.t=1.0", "metrics.u = metrics.t"], [], {"metrics": {"t": 1.0, "u": 50.0, "hall.2": 1.0}}),
        ([], ["metrics.hall.2"], {"metrics": {"t": 50.0}}),
        ([], ["metrics.none", "seq"], {"seq": ...}),
        (["tags.why=detail", "ts=accepted"], [], {"tags": {"why": "it is wrong"}}),
        (["device_id='pump=' + key"], [], {"device_id": "pump=pump-one"}),
        (["units.t='Cel'"], [], {"units": {"t": "Cel"}}),
    ],
)
def test_what_is_set_and_taken_out(sets: list[str], unsets: list[str], expected: dict[str, Any]) -> None:
    record, key = mended(sets, unsets)
    assert record == {name: value for name, value in (RECORD | expected).items() if value is not ...}
    assert key == b"pump-one"


def test_the_key_is_set_beside_the_record() -> None:
    assert mended(["key=device_id"]) == (RECORD, b"pump-1")


def test_the_record_itself_is_left_as_it_was() -> None:
    before = {name: dict(value) if isinstance(value, dict) else value for name, value in RECORD.items()}
    mended(["metrics.t=1.0"], ["metrics.hall.2"])
    assert before == RECORD


@pytest.mark.parametrize(
    ("sets", "error"),
    [
        (["ts"], ExpressionError),
        (["=accepted"], ExpressionError),
        (["metrics.=1.0"], ExpressionError),
        (["ts=accepted +"], ExpressionError),
        (["key=1"], ExpressionError),
        (["seq.a=1", "seq.b=2", "device_id.x=1"], ExpressionError),
        (["ts=nothing_of_that_name"], UnsureError),
        (["metrics.t=metrics.none"], UnsureError),
        (["metrics.t=1 / 0"], UnsureError),
    ],
)
def test_what_cannot_be_mended_is_said(sets: list[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        mended(sets)


@given(st.lists(st.text(max_size=30), max_size=3), st.lists(st.text(max_size=20), max_size=3))
def test_whatever_is_asked_for_is_done_or_refused_in_words(sets: list[str], unsets: list[str]) -> None:
    with contextlib.suppress(ExpressionError, UnsureError):
        record, _ = mended(sets, unsets)
        assert isinstance(record, dict)
