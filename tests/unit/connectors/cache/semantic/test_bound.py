import math
import random

import pytest

from connectors.cache.semantic.bound import FEWEST, LEAST, MOST, Threshold

DELTA = 0.02


def test_with_few_observations_the_model_is_asked() -> None:
    assert Threshold().explore_probability(1.0, DELTA) == 1.0
    assert Threshold([(1.0, True)] * (FEWEST - 1)).explore_probability(1.0, DELTA) == 1.0
    assert Threshold([(1.0, True)] * 20).explore_probability(1.0, DELTA) > 0.85


def test_many_right_answers_end_the_asking() -> None:
    taus = [Threshold([(0.95, True)] * number).explore_probability(0.95, DELTA) for number in (10, 50, 100, 200, 400)]
    assert taus == sorted(taus, reverse=True)
    assert taus[-1] == 0.0


def test_where_right_and_wrong_part_little_is_asked_above_and_always_below() -> None:
    threshold = Threshold([(0.7 + 0.003 * n, n > 50) for n in range(100)])
    assert threshold.explore_probability(0.99, DELTA) == 0.0
    assert threshold.explore_probability(0.84, DELTA) > 0.9
    assert threshold.explore_probability(0.7, DELTA) == 1.0


def test_nothing_is_served_below_what_was_seen() -> None:
    threshold = Threshold([(0.95, True)] * 2000)
    assert threshold.explore_probability(0.95, DELTA) == 0.0
    assert threshold.explore_probability(0.94, DELTA) > 0.9
    assert threshold.explore_probability(LEAST - 0.01, DELTA) == 1.0


def test_answers_that_are_wrong_however_similar_are_not_served() -> None:
    dice = random.Random(1)  # noqa: S311  # the same in every run, and no secrets
    threshold = Threshold([(dice.uniform(0.9, 1.0), dice.random() < 0.7) for _ in range(1000)])
    assert threshold.explore_probability(1.0, DELTA) > 0.9
    assert Threshold([(1.0, False)] * 1000).explore_probability(1.0, DELTA) == 1.0


def test_a_wrong_answer_is_learnt_from_at_once() -> None:
    threshold = Threshold([(0.95, True)] * 400)
    assert threshold.explore_probability(0.95, DELTA) == 0.0
    for _ in range(8):
        threshold.seen(0.95, correct=False)
    assert threshold.explore_probability(0.95, DELTA) > 0.3


def test_the_probability_is_the_papers() -> None:
    threshold = Threshold([(0.95, True)] * 50)
    alpha = threshold.right_at_least(0.95)
    # With nothing but right answers in one place, the least of a region is eps ** (1 / n).
    best = max((1 - eps / 1000) * (eps / 1000) ** (1 / 50) for eps in range(1, 1000))
    assert alpha == pytest.approx(best, abs=0.005)
    assert threshold.explore_probability(0.95, DELTA) == pytest.approx(1 - DELTA / (1 - alpha))


def test_what_may_be_wrong_among_the_served_is_bounded_too() -> None:
    threshold = Threshold([(0.95, True)] * 100)
    wrong_at_most = 1 - threshold.right_at_least(0.95)
    assert DELTA < wrong_at_most < 0.1
    assert 0.0 < threshold.explore_probability(0.95, DELTA, among_served=0.1) < 1.0
    assert threshold.explore_probability(0.95, DELTA, among_served=wrong_at_most / 2) == 1.0
    threshold = Threshold([(0.95, True)] * 400)
    assert threshold.explore_probability(0.95, DELTA, among_served=DELTA) == 0.0


def test_it_is_drawn_how_often_to_ask() -> None:
    threshold = Threshold([(0.95, True)] * 100)
    dice = random.Random(1)  # noqa: S311  # the same in every run, and no secrets
    share = sum(threshold.explores(0.95, DELTA, dice) for _ in range(5000)) / 5000
    assert share == pytest.approx(threshold.explore_probability(0.95, DELTA), abs=0.03)
    assert 0.1 < share < 0.9


def test_what_was_seen_comes_back_and_adds_up() -> None:
    one = Threshold([(0.9, True), (0.95, True), (0.951, True), (0.6, False), (0.3, True)] * 30)
    again = Threshold.of(one.rows())
    assert again.rows() == one.rows()
    assert again.observations == one.observations == 120
    assert again.explore_probability(0.95, DELTA) == one.explore_probability(0.95, DELTA)
    both = Threshold.of([*one.rows(), *again.rows()])
    assert both.observations == 240
    assert both.explore_probability(0.97, DELTA) <= one.explore_probability(0.97, DELTA)


def test_observations_are_bounded_and_old_ones_count_less() -> None:
    threshold = Threshold([(0.5 + 0.00001 * n, n > 100) for n in range(3 * MOST)])
    assert threshold.observations <= MOST
    assert len(threshold.rows()) <= 129
    assert all(right + wrong > 0 for _, right, wrong in threshold.rows())
    # One wrong answer of long ago weighs little beside many right ones.
    threshold = Threshold([(0.9, False), *[(0.9, True)] * (4 * MOST)])
    assert MOST / 2 <= threshold.observations <= MOST
    assert threshold.rows()[0][2] < 0.2


def test_more_than_equal_is_equal() -> None:
    threshold = Threshold([(1.0000001, True)] * 400)
    assert threshold.rows() == [(1.0, 400.0, 0.0)]
    assert threshold.explore_probability(1.0000002, DELTA) == 0.0


@pytest.mark.parametrize("similarity", [math.nan, math.inf, -math.inf])
def test_what_is_no_similarity_is_not_learnt(similarity: float) -> None:
    with pytest.raises(ValueError, match="similarity"):
        Threshold().seen(similarity, correct=True)
    with pytest.raises(ValueError, match="similarity"):
        Threshold.of([(similarity, 1, 0)])


def test_what_is_no_number_is_not_served() -> None:
    assert Threshold([(1.0, True)] * 400).explore_probability(math.nan, DELTA) == 1.0


@pytest.mark.parametrize("weights", [(-1.0, 0.0), (0.0, math.nan), (math.inf, 0.0)])
def test_rows_that_cannot_be_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Threshold.of([(0.9, *weights)])
