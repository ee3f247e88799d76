"""Names and their numbers, beside a dictionary."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.columns.names import Name, Names
from streams.columns.texts import Texts

few = st.sampled_from(["", "a", "b", "ab", "ba", "aa", "a\0", "é", "x" * 8, "x" * 9, "x" * 16, "x" * 128])
pairs = st.tuples(few, few) | st.tuples(st.text(max_size=20), st.text(max_size=20))


def numbers(names: Names, wanted: Sequence[Name]) -> list[int]:
    first, second = (Texts.of(pa.array([pair[which] for pair in wanted], pa.string())) for which in (0, 1))
    found: list[int] = names.numbers(first, second).tolist()
    return found


def check(names: Names, batches: Sequence[Sequence[Name]]) -> None:
    model: dict[Name, int] = {}
    for batch in batches:
        assert numbers(names, batch) == [model.setdefault(pair, len(model)) for pair in batch]
        assert len(names) == len(model)
    assert [names[number] for number in range(len(names))] == list(model)


@settings(deadline=None)
@given(st.lists(st.lists(pairs.filter(lambda pair: "\ud800" not in "".join(pair)), max_size=30), max_size=10))
def test_names_are_numbered_as_they_appear(batches: list[list[Name]]) -> None:
    check(Names(), batches)


def many(count: int) -> list[Name]:
    return [(f"device-{number}", f"metric-{number % 7}") for number in range(count)]


@pytest.mark.parametrize("size", [1, 255, 256, 257, 20_000])
def test_many_names_in_batches_of_any_size(size: int) -> None:
    wanted = many(20_000 if size > 1 else 1000)

    check(Names(), [wanted[at : at + size] for at in range(0, len(wanted), size)] + [wanted[::-1]])


@pytest.mark.parametrize("hash_", [0, 1, 2**32, 2**64 - 1])
def test_the_bytes_decide_where_hashes_are_equal(monkeypatch: pytest.MonkeyPatch, hash_: int) -> None:
    monkeypatch.setattr(Texts, "hashes", lambda self, _key: np.full(len(self), hash_, dtype=np.uint64))
    wanted = [*many(600), ("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"), ("device-00", "metric-0")]

    check(Names(), [wanted[:300], wanted, wanted[::-1]])


def test_numbers_do_not_depend_on_the_key() -> None:
    assert numbers(Names(), many(3000)) == numbers(Names(), many(3000)) == list(range(3000))


def test_names_as_a_column() -> None:
    names = Names()
    wanted = [*many(50), ("", ""), ("é", "")]
    numbers(names, wanted)

    for start, stop in [(0, 52), (0, 1), (7, 50), (50, 52), (3, 3)]:
        column = names.column(start, stop)
        column.validate(full=True)
        assert [tuple(pair) for pair in column.to_pylist()] == wanted[start:stop]


@pytest.mark.parametrize("number", [-1, 3])
def test_a_number_that_no_name_has(number: int) -> None:
    names = Names()
    numbers(names, many(3))

    with pytest.raises(IndexError):
        names[number]
