import math

import pytest

from connectors.cache.semantic.proportion import beta_cdf, checks_needed, lower_bound, upper_bound


@pytest.mark.parametrize(
    ("wrong", "checked", "lower", "upper"),
    # Two-sided intervals with 95 %, as textbooks give them: each side has 97.5 %.
    [
        (0, 10, 0.0, 0.3084971),
        (1, 10, 0.0025286, 0.4450161),
        (5, 10, 0.1870860, 0.8129140),
        (10, 10, 0.6915029, 1.0),
        (10, 100, 0.0490047, 0.1762226),
    ],
)
def test_the_bounds_are_those_of_clopper_and_pearson(wrong: int, checked: int, lower: float, upper: float) -> None:
    assert lower_bound(wrong, checked, 0.975) == pytest.approx(lower, abs=1e-7)
    assert upper_bound(wrong, checked, 0.975) == pytest.approx(upper, abs=1e-7)


@pytest.mark.parametrize("checked", [1, 7, 600, 100_000])
def test_without_anything_wrong_the_upper_bound_has_a_closed_form(checked: int) -> None:
    assert upper_bound(0, checked) == pytest.approx(1 - 0.05 ** (1 / checked), rel=1e-9)
    assert lower_bound(checked, checked) == pytest.approx(0.05 ** (1 / checked), rel=1e-9)


def test_nothing_checked_proves_nothing() -> None:
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(("wrong", "checked"), [(3, 20), (17, 40), (2, 900)])
def test_the_bounds_are_where_the_binomial_tails_have_what_is_left(wrong: int, checked: int) -> None:
    def tail(p: float, numbers: range) -> float:
        return sum(math.comb(checked, n) * p**n * (1 - p) ** (checked - n) for n in numbers)

    assert tail(upper_bound(wrong, checked), range(wrong + 1)) == pytest.approx(0.05, rel=1e-6)
    assert tail(lower_bound(wrong, checked), range(wrong, checked + 1)) == pytest.approx(0.05, rel=1e-6)


def test_half_a_percent_takes_598_checks() -> None:
    assert checks_needed(0.005) == 598
    assert upper_bound(0, 598) <= 0.005 < upper_bound(0, 597)


@pytest.mark.parametrize("wrong", [0, 1, 2, 9])
@pytest.mark.parametrize("delta", [0.004, 0.1, 0.7])
def test_the_checks_needed_are_the_fewest(wrong: int, delta: float) -> None:
    enough = checks_needed(delta, wrong)
    assert upper_bound(wrong, enough) <= delta
    assert enough == wrong + 1 or upper_bound(wrong, enough - 1) > delta


def test_the_incomplete_beta_function_is_known_in_places() -> None:
    assert (beta_cdf(0.0, 2, 3), beta_cdf(1.0, 2, 3)) == (0.0, 1.0)
    assert beta_cdf(0.3, 1, 1) == pytest.approx(0.3)
    assert beta_cdf(0.5, 40, 40) == pytest.approx(0.5)
    assert beta_cdf(0.25, 2, 3) == pytest.approx(1 - 0.75**4 - 4 * 0.25 * 0.75**3)


@pytest.mark.parametrize(("wrong", "checked", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0)])
def test_what_cannot_be_is_refused(wrong: int, checked: int, confidence: float) -> None:
    for bound in (lower_bound, upper_bound):
        with pytest.raises(ValueError, match=r"wrong|confidence"):
            bound(wrong, checked, confidence)
