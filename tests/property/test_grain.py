"""Steps that alarms are told in: in order, symmetric, and never off by more than they say."""

import math

from hypothesis import given
from hypothesis import strategies as st

from streams.prompts.grain import GRAIN

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
DISTANCES = st.floats(min_value=0, max_value=1e9)


@given(DISTANCES, DISTANCES)
def test_distances_stay_in_order_and_are_steps(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert GRAIN.distance(low) <= GRAIN.distance(high)
    assert GRAIN.distance(-one) == -GRAIN.distance(one)
    assert math.isclose(GRAIN.distance(GRAIN.distance(one)), GRAIN.distance(one))


@given(DISTANCES)
def test_a_distance_is_off_by_half_a_step_at_the_most(distance: float) -> None:
    told = GRAIN.distance(distance)
    if distance < GRAIN.usual:
        assert told == 0.0
    else:
        assert 1 / math.sqrt(GRAIN.ratio) - 1e-9 <= told / distance <= math.sqrt(GRAIN.ratio) + 1e-9


@given(NUMBERS)
def test_a_level_is_off_by_a_quarter_at_the_most_and_keeps_its_sign(value: float) -> None:
    told = GRAIN.level(value)
    assert GRAIN.level(-value) == -told
    if told != 0.0:
        assert 0.8 <= told / value <= 1.25
        assert math.isclose(GRAIN.level(told), told)
    else:
        assert abs(value) < 1e-300


def test_what_is_beyond_all_steps_stays_there() -> None:
    assert GRAIN.distance(math.inf) == math.inf
    assert GRAIN.level(0.0) == GRAIN.level(5e-324) == 0.0
