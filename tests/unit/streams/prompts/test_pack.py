"""A packed answer is taken apart: each window gets what is meant for it, or nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.prompts.pack import Answers, by_window, shares

GOOD = {"summary": "It rose.", "probable_causes": [], "recommended_actions": [], "severity": "info", "confidence": 0.5}


def read(*answers: object) -> Answers:
    return Answers.model_validate_json(json.dumps({"answers": answers}))


def test_each_window_gets_its_own_answer_in_whatever_order() -> None:
    found = by_window(read({**GOOD, "n": 2, "summary": "two"}, {**GOOD, "n": 1, "summary": "one"}), 3)
    assert {n: answer.summary for n, answer in found.items()} == {1: "one", 2: "two"}


@pytest.mark.parametrize(
    "spoilt",
    [
        {"n": 1},
        {**GOOD, "n": 1, "severity": "terrible"},
        {**GOOD, "n": 1, "confidence": 2.0},
        {**GOOD, "n": 1, "summary": ""},
        {**GOOD, "n": 1, "extra": 1},
        {**GOOD, "n": "first"},
        {**GOOD, "n": None},
        None,
        7,
        "text",
        [],
    ],
)
def test_one_answer_that_cannot_be_read_spoils_no_other(spoilt: object) -> None:
    assert list(by_window(read(spoilt, {**GOOD, "n": 2}), 2)) == [2]


@pytest.mark.parametrize("n", [0, -1, 3, 10**30])
def test_an_answer_to_a_window_that_nobody_asked_about_is_none(n: int) -> None:
    assert list(by_window(read({**GOOD, "n": n}, {**GOOD, "n": 1}), 2)) == [1]


def test_two_answers_to_a_window_are_none() -> None:
    assert list(by_window(read(*({**GOOD, "n": n} for n in (1, 2, 1))), 2)) == [2]


@pytest.mark.parametrize("body", ["{}", "[]", '{"answers": 7}', '{"answers": {}}', '{"answers": [], "more": 1}', "x"])
def test_what_is_no_list_of_answers_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        Answers.model_validate_json(body)


@given(st.integers(0, 2**63), st.integers(1, 64))
def test_shares_add_up(total: int, parts: int) -> None:
    shared = shares(total, parts)
    assert (sum(shared), len(shared)) == (total, parts)
    assert max(shared) - min(shared) <= 1
