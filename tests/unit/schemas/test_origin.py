"""The headers of copies: what is written is read and proven, and what else there may be is no origin."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.origin import ORIGIN, REPLAY, SECRET_BYTES, headers, new_secret, origin_of, place, shared_secret

ID = b"0b9f3c9e-9d1c-4f6a-8e0a-2f2f3c1d9b10"
MARKED = ID + b"/" + b"0" * 32
SECRET = b"s" * SECRET_BYTES

keys = st.none() | st.binary()


@given(
    topic=st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    accepted_ms=st.integers(0, 10**14 - 1),
    key=keys,
    value=st.binary(),
    others=st.dictionaries(st.text(), st.binary()),
)
def test_what_is_written_is_read_and_proven(  # each is a fact of its own
    topic: str,
    partition: int,
    offset: int,
    accepted_ms: int,
    key: bytes | None,
    value: bytes,
    others: dict[str, bytes],
) -> None:
    origin = place(topic.encode(), partition, offset, accepted_ms)
    found = origin_of(list((others | headers(ID, SECRET, origin, key, value)).items()))
    assert found is not None
    assert (found.replay, found.topic) == (ID.decode(), topic)
    assert (found.partition, found.offset, found.accepted_ms) == (partition, offset, accepted_ms)
    assert found.is_proven(SECRET, key, value)
    assert not found.is_proven(b"t" * SECRET_BYTES, key, value)


@given(key=keys, value=keys, other_key=keys, other_value=keys)
def test_a_mark_is_of_one_key_and_value(
    key: bytes | None, value: bytes | None, other_key: bytes | None, other_value: bytes | None
) -> None:
    found = origin_of(headers(ID, SECRET, place(b"t", 1, 2, 3), key, value))
    assert found is not None
    same = (key, value or b"") == (other_key, other_value or b"")
    assert found.is_proven(SECRET, other_key, other_value) is same


def test_a_mark_is_of_one_origin() -> None:
    made = headers(ID, SECRET, place(b"readings", 1, 2, 3), b"k", b"v")
    moved = origin_of(made | {ORIGIN: place(b"readings", 1, 2, 4)})
    assert moved is not None
    assert not moved.is_proven(SECRET, b"k", b"v")


@given(st.lists(st.tuples(st.sampled_from([REPLAY, ORIGIN, "else"]), st.none() | st.text() | st.binary())))
def test_whatever_is_there_it_is_no_proof(found: list[tuple[str, Any]]) -> None:
    origin = origin_of(found)
    assert origin is None or not origin.is_proven(SECRET, b"k", b"v")


@pytest.mark.parametrize(
    "where",
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
def test_what_no_log_has_is_no_origin(where: bytes) -> None:
    assert origin_of([(REPLAY, MARKED), (ORIGIN, where)]) is None


def test_a_record_that_is_no_copy_has_none() -> None:
    assert origin_of(None) is None
    assert origin_of([]) is None
    assert origin_of([("traceparent", b"00-1")]) is None
    assert origin_of([(REPLAY, MARKED)]) is None
    assert origin_of([(REPLAY, MARKED), (ORIGIN, b"readings/1/2/3")]) is not None
    for replay in (b"x", ID, ID + b"/", MARKED + b"0", MARKED.upper()):
        assert origin_of([(REPLAY, replay), (ORIGIN, b"readings/1/2/3")]) is None


def test_regions_that_share_a_secret_know_each_others_replays() -> None:
    shared, replay = "of all the regions", ID.decode()
    assert new_secret(shared, replay) == shared_secret(shared, replay) == new_secret(shared, replay)
    assert shared_secret(shared, replay) != shared_secret("another", replay)
    assert shared_secret(shared, replay) != shared_secret(shared, replay[::-1])
    assert len(shared_secret(shared, replay)) == SECRET_BYTES


def test_without_one_each_replay_has_its_own() -> None:
    assert new_secret("", ID.decode()) != new_secret("", ID.decode())
