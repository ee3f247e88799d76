"""What is packed with gzip, and what only says so."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.body import MAX_UNPACKED, unpacked
from connectors.http.problems import Problem


@given(st.lists(st.binary(max_size=2000), max_size=4))
def test_what_was_packed_comes_out_in_one_member_or_several(parts: list[bytes]) -> None:
    assert unpacked(b"".join(gzip.compress(part) for part in parts)) == b"".join(parts)


@given(st.binary(min_size=1, max_size=300), st.integers(0, 10_000))
def test_what_is_cut_or_broken_is_refused_and_never_half_read(content: bytes, at: int) -> None:
    packed = gzip.compress(content)
    for broken in (packed[: 1 + at % (len(packed) - 1)], zlib.compress(content), content + b"\x00", packed + b"\x00"):
        with pytest.raises(Problem) as refused:
            unpacked(broken)
        assert refused.value.status == 400


def test_a_bomb_stops_at_the_limit() -> None:
    assert len(unpacked(gzip.compress(bytes(MAX_UNPACKED)))) == MAX_UNPACKED
    for bomb in (gzip.compress(bytes(MAX_UNPACKED + 1)), gzip.compress(bytes(MAX_UNPACKED)) + gzip.compress(b"x")):
        with pytest.raises(Problem) as refused:
            unpacked(bomb)
        assert refused.value.status == 413
