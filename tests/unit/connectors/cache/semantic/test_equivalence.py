"""Forms that mean the same: how much it takes to believe it, and to stop."""

import random

import pytest

from connectors.cache.semantic import equivalence
from connectors.cache.semantic.equivalence import Equivalences

DELTA = 0.005


def learnt(known: Equivalences, one: str, other: str, times: int = 5, *, correct: bool = True) -> None:
    for _ in range(times):
        known.seen(one, other, correct=correct)


def asks(known: Equivalences, one: str, other: str) -> float:
    return known.explore_probability(one, other, DELTA)


def test_a_form_is_itself_and_of_others_nothing_is_known() -> None:
    known = Equivalences()
    assert asks(known, "a", "a") == 0.0
    assert asks(known, "a", "b") == 1.0


def test_a_few_answers_that_agree_are_enough_and_fewer_are_not() -> None:
    known = Equivalences()
    asked = [asks(known, "a", "b")]
    for _ in range(4):
        known.seen("a", "b", correct=True)
        asked.append(asks(known, "b", "a"))
    assert asked == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_what_is_linked_through_others_means_the_same_as_far_as_that_goes() -> None:
    known = Equivalences()
    for one, other in zip("abcdef", "bcdefg", strict=True):
        learnt(known, one, other)
    assert [asks(known, "a", other) == 0.0 for other in "bcdefg"] == [True, True, True, False, False, False]
    # A share is asked about where the bound is nearly reached.
    assert 0.0 < asks(known, "a", "e") < 0.1
    assert asks(known, "a", "f") == 1.0


def test_an_answer_that_disagrees_ends_a_link_and_what_was_built_on_it() -> None:
    known = Equivalences()
    learnt(known, "a", "b", 4)
    learnt(known, "b", "c", 4)
    assert asks(known, "a", "c") == 0.0
    learnt(known, "a", "b", 2, correct=False)
    assert asks(known, "a", "b") == asks(known, "a", "c") == 1.0
    learnt(known, "a", "b", 2)
    assert asks(known, "a", "c") == 0.0


def test_what_speaks_against_two_forms_counts_whatever_leads_from_one_to_the_other() -> None:
    known = Equivalences()
    learnt(known, "a", "b")
    learnt(known, "b", "c")
    known.seen("a", "c", correct=False)
    assert asks(known, "a", "c") == 1.0


def test_there_are_no_more_links_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivalence, "MOST_LINKS", 3)
    known = Equivalences()
    for number in range(6):
        learnt(known, f"a{number}", f"b{number}")
    assert len(known) <= 3
    assert asks(known, "a0", "b0") == 1.0
    assert asks(known, "a5", "b5") == 0.0


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_few_are_wrong_even_if_answers_agree_and_differ_by_chance(noise: float) -> None:
    """Forms of 20 meanings, 8 each; who is asked says what is true, but for the noise."""
    chance = random.Random(4)  # noqa: S311  # draws cases
    known = Equivalences()
    served = wrong = 0
    for _ in range(60_000):
        one, other = (f"{chance.randrange(20)}/{chance.randrange(8)}" for _ in range(2))
        if chance.random() < 0.5:
            other = one.split("/")[0] + "/" + other.split("/")[1]
        same = one.split("/")[0] == other.split("/")[0]
        if one != other and chance.random() >= asks(known, one, other):
            served += 1
            wrong += not same
        else:
            known.seen(one, other, correct=same != (chance.random() < noise))
    assert served > 10_000
    assert wrong <= DELTA * served
