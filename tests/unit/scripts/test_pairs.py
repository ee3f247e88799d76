"""The pairs that a cache by meaning is measured against: what they are, and how a file of them is read."""

import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benches import pairs
from scripts.benches.pairs import NEAR_MISSES, PARAPHRASE, Pair, PairsError, generate, groups, read, write
from scripts.benches.wordings import kinds, numerals

SEED = 7


@cache
def made() -> tuple[Pair, ...]:
    return tuple(generate(SEED))


def plain(text: str) -> str:
    return text.casefold().rstrip("?!. ")


def test_there_are_enough_of_each_family() -> None:
    counts = Counter(pair.family for pair in made())
    assert len(made()) >= 12_000
    assert counts.pop(PARAPHRASE) == 4_200
    assert counts == dict.fromkeys(NEAR_MISSES, 560)


def test_the_same_seed_gives_the_same_pairs() -> None:
    assert tuple(generate(SEED)) == made()
    assert generate(SEED + 1) != list(made())


def test_no_pair_comes_twice_and_none_is_of_one_question() -> None:
    both = [frozenset({plain(pair.a), plain(pair.b)}) for pair in made()]
    assert len(set(both)) == len(both)
    assert all(len(each) == 2 for each in both)


def test_only_rewordings_want_the_same_answer() -> None:
    assert {pair.same for pair in made() if pair.family == PARAPHRASE} == {True}
    assert {pair.same for pair in made() if pair.family != PARAPHRASE} == {False}


def test_near_misses_have_a_rewording_beside_them() -> None:
    for pair in made():
        assert (pair.reworded is None) == pair.same
        assert pair.reworded is None or plain(pair.reworded) != plain(pair.b)


def test_no_group_is_in_both_parts_and_each_part_has_about_half() -> None:
    parts = defaultdict[str, set[str]](set)
    for pair in made():
        parts[pair.group].add(pair.part)
    assert all(len(each) == 1 for each in parts.values())
    assert len(parts) >= 90
    for family in (PARAPHRASE, *NEAR_MISSES):
        counts = Counter(pair.part for pair in made() if pair.family == family)
        assert min(counts["tuning"], counts["held-out"]) >= 0.25 * counts.total(), family


def test_every_wording_fills_all_slots_of_its_group() -> None:
    known = kinds()
    for group in groups():
        assert len(group.wordings) >= 3
        assert set(group.slots.values()) <= set(known)
        assert set(group.against) <= set(NEAR_MISSES)
        for wording in [*group.wordings, *(each for said in group.against.values() for each in said)]:
            assert {slot for slot, _form in pairs.SLOT.findall(wording)} == set(group.slots), wording


def test_no_wording_is_set_against_itself() -> None:
    for group in groups():
        against = [each for said in group.against.values() for each in said]
        assert len({*group.wordings, *against}) == len(group.wordings) + len(against), group.name


def test_questions_have_no_slot_left_and_read_like_text() -> None:
    for pair in made():
        for text in (pair.a, pair.b):
            assert not re.search(r"[{}]|  |^\s|\s$|\ba [aeiou]", text), text


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("2", "two"),
        ("12", "twelve"),
        ("19", "nineteen"),
        ("20", "twenty"),
        ("85", "eighty-five"),
        ("99", "ninety-nine"),
    ],
)
def test_small_numbers_have_words(number: str, said: str) -> None:
    assert numerals(number) == [number, said]


@pytest.mark.parametrize("number", ["100", "2.5"])
def test_other_numbers_have_none(number: str) -> None:
    assert numerals(number) == [number]


def test_pairs_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write(path, made()[::100])
    assert read(path) == list(made()[::100])


texts = st.text(min_size=1, max_size=50).filter(str.strip)


@given(st.lists(st.builds(Pair, texts, texts, st.booleans(), reworded=st.none() | texts), min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, some: list[Pair]) -> None:
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    write(path, some)
    assert read(path) == some


def test_pairs_of_others_need_only_two_texts_and_a_verdict(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"a": "x?", "b": "y?", "same": false, "source": "elsewhere"}\n\n', encoding="utf-8")
    assert read(path) == [Pair("x?", "y?", same=False)]


GOOD = {"a": "x", "b": "y", "same": True}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[" * 100_000,
        "[]",
        "null",
        '"text"',
        "{}",
        json.dumps({**GOOD, "a": ""}),
        json.dumps({**GOOD, "a": " \n"}),
        json.dumps({**GOOD, "b": 5}),
        json.dumps({**GOOD, "b": "y" * 2_001}),
        json.dumps({**GOOD, "b": "\ud800"}),
        json.dumps({**GOOD, "same": "yes"}),
        json.dumps({**GOOD, "same": 1}),
        json.dumps({**GOOD, "part": "training"}),
        json.dumps({**GOOD, "part": ["tuning"]}),
        json.dumps({**GOOD, "family": 3}),
        json.dumps({**GOOD, "group": None}),
        json.dumps({**GOOD, "reworded": []}),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{line}\n", encoding="utf-8")
    with pytest.raises(PairsError, match=r"pairs\.jsonl, line 2: .*a line is") as caught:
        read(path)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_pairs_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content)
    with pytest.raises(PairsError, match="has no pairs; each line is"):
        read(path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PairsError, match="save it as UTF-8"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match="No such file or directory; name a file"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(PairsError, match="Is a directory; name a file"):
        read(tmp_path)
