"""The headers of copies: what is written is read, and what else there may be is no origin."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.origin import ORIGIN, REPLAY, Origin, origin_of

ID = "0b9f3c9e-9d1c-4f6a-8e0a-2f2f3c1d9b10"

origins = st.builds(
    Origin,
    replay=st.uuids().map(str),
    topic=st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    accepted_ms=st.integers(0, 10**14 - 1),
)


@given(origin=origins, others=st.dictionaries(st.text(), st.binary()))
def test_what_is_written_is_read(origin: Origin, others: dict[str, bytes]) -> None:
    assert origin_of(list((others | origin.headers()).items())) == origin


@given(st.lists(st.tuples(st.sampled_from([REPLAY, ORIGIN, "else"]), st.none() | st.text() | st.binary())))
def test_whatever_is_there_it_is_an_origin_or_none(headers: list[tuple[str, Any]]) -> None:
    found = origin_of(headers)
    assert found is None or origin_of(list(found.headers().items())) == found


@pytest.mark.parametrize(
    "place",
    [
        b"",
        b"readings/1/2",
        b"readings/1/2/3/4",
        b"readings/-1/2/3",
        b"readings/4294967296/2/3",
        b"readings/1/9223372036854775808/3",
        b"read ings/1/2/3",
        b"readings/1/2/100000000000000000",
        "readings/\u0661/2/3".encode(),
        b"readings/1/2/3\n",
    ],
)
def test_what_no_log_has_is_no_origin(place: bytes) -> None:
    assert origin_of([(REPLAY, ID.encode()), (ORIGIN, place)]) is None


def test_a_record_that_is_no_copy_has_none() -> None:
    assert origin_of(None) is None
    assert origin_of([]) is None
    assert origin_of([("traceparent", b"00-1")]) is None
    assert origin_of([(REPLAY, ID.encode())]) is None
    assert origin_of([(REPLAY, b"x"), (ORIGIN, b"readings/1/2/3")]) is None
