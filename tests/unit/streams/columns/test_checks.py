"""What may be a name, as `schemas.fields` says it, and keys that come twice."""

import sys

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import NAME_LENGTH, is_name
from streams.columns.checks import bad_names, key_twice
from streams.columns.texts import Texts


def agree(names: list[str]) -> None:
    assert bad_names(Texts.of(pa.array(names, pa.string()))).tolist() == [not is_name(name) for name in names]


def test_every_character() -> None:
    agree([chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000])


def test_lengths_are_those_of_characters() -> None:
    for letter in ("x", "é", "\u20ac", "\N{PILE OF POO}", "/", "\x80"):
        agree([letter * length for length in (0, 1, 2, NAME_LENGTH - 1, NAME_LENGTH, NAME_LENGTH + 1)])


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=140)))
def test_any_text(names: list[str]) -> None:
    agree(names)


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["", "a", "b", "c", "ab", "\0", "x" * 30]), max_size=6)))
def test_keys_that_come_twice(maps: list[list[str]]) -> None:
    offsets = np.cumsum([0, *map(len, maps)], dtype=np.int32)
    keys = Texts.of(pa.array([key for entries in maps for key in entries], pa.string()))

    assert key_twice(offsets, keys).tolist() == [len(set(entries)) < len(entries) for entries in maps]
