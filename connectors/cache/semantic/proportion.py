"""How often something goes wrong, of which only a part was looked at: bounds that hold for small numbers too.

Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26
(1934): the bounds are quantiles of beta distributions. Here each bound is one-sided, with the whole confidence on its
side: to say "at most 0.5 %" with 95 % confidence takes 598 checks without anything wrong.
"""

import math
from functools import lru_cache

# Halvings of [0, 1]: what is left is below what a float tells apart.
_HALVINGS = 60
# Steps of the continued fraction at the most; it takes about as many as the square root of the larger parameter.
_STEPS = 10_000
_TINY, _EXACT = 1e-300, 1e-15


def upper_bound(wrong: int, checked: int, confidence: float = 0.95) -> float:
    """Give the share that is wrong at the most, with this confidence: 1 where nothing was checked.

    Raises:
        ValueError: `wrong` is not within 0 and `checked`, or the confidence not between 0 and 1.

    """
    _check(wrong, checked, confidence)
    return 1.0 if wrong == checked else _quantile(confidence, wrong + 1, checked - wrong)


def lower_bound(wrong: int, checked: int, confidence: float = 0.95) -> float:
    """Give the share that is wrong at the least, with this confidence: 0 where nothing was wrong.

    Raises:
        ValueError: as for `upper_bound`.

    """
    _check(wrong, checked, confidence)
    return 0.0 if wrong == 0 else _quantile(1.0 - confidence, wrong, checked - wrong + 1)


def checks_needed(delta: float, wrong: int = 0, confidence: float = 0.95) -> int:
    """Say after how many checks with so many wrong ones `upper_bound` is at most `delta`, which is between 0 and 1."""

    def is_enough(checked: int) -> bool:
        return beta_cdf(delta, wrong + 1, checked - wrong) >= confidence

    enough = wrong + 1
    while not is_enough(enough):
        enough *= 2
    too_few = max(enough // 2, wrong)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return enough


def beta_cdf(x: float, a: float, b: float) -> float:
    """Give the regularised incomplete beta function I_x(a, b), for positive `a` and `b` and `x` within 0 and 1.

    By the continued fraction of DLMF 8.17.22, with Lentz's method.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x),
    )
    # The fraction converges fast on this side; the other is its mirror.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1.0 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _away_from_0(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for step in range(1, _STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_0(1.0 + term * d)
            c = _away_from_0(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _EXACT:
            break
    return value


def _away_from_0(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4096)
def _quantile(share: float, a: int, b: int) -> float:
    """Give the x where I_x(a, b) is `share`."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def _check(wrong: int, checked: int, confidence: float) -> None:
    if not 0 <= wrong <= checked:
        message = f"{wrong} of {checked} cannot be wrong"
        raise ValueError(message)
    if not 0.0 < confidence < 1.0:
        message = f"a confidence lies between 0 and 1, not at {confidence}"
        raise ValueError(message)
