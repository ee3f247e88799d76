"""The bound and the audit of a semantic cache, whatever was seen."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cache.semantic.audit import Audit, State
from connectors.cache.semantic.bound import Threshold
from connectors.cache.semantic.proportion import lower_bound, upper_bound
from connectors.cache.semantic.verdicts import BUCKET_S, KEPT, merged

SIMILARITIES = st.floats(-1.0, 1.0)
OBSERVATIONS = st.lists(st.tuples(SIMILARITIES, st.booleans(), st.integers(1, 300)), max_size=12)
DELTAS = st.floats(1e-4, 0.3)
NOW = 1_800_000_000.0
BUCKETS = st.dictionaries(
    st.integers(0, 50), st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (sum(pair), pair[1]))
)


def threshold_of(observations: list[tuple[float, bool, int]]) -> Threshold:
    return Threshold([(similarity, correct) for similarity, correct, times in observations for _ in range(times)])


@settings(deadline=None)
@given(OBSERVATIONS, st.tuples(SIMILARITIES, SIMILARITIES), DELTAS)
def test_the_more_similar_the_less_is_asked(
    observations: list[tuple[float, bool, int]], pair: tuple[float, float], delta: float
) -> None:
    threshold = threshold_of(observations)
    low, high = sorted(pair)
    asked = [threshold.explore_probability(similarity, delta) for similarity in (low, high)]
    assert 1.0 >= asked[0] >= asked[1] >= 0.0


@settings(deadline=None)
@given(OBSERVATIONS, SIMILARITIES, st.tuples(DELTAS, DELTAS), st.floats(0.0, 1.0))
def test_what_is_served_keeps_both_bounds(
    observations: list[tuple[float, bool, int]], similarity: float, deltas: tuple[float, float], among: float
) -> None:
    threshold = threshold_of(observations)
    wrong_at_most = 1 - threshold.right_at_least(similarity)
    strict, lax = (threshold.explore_probability(similarity, delta, among_served=among) for delta in sorted(deltas))
    assert strict >= lax
    for delta, tau in zip(sorted(deltas), (strict, lax), strict=True):
        assert (1 - tau) * wrong_at_most <= delta + 1e-12
        assert tau == 1.0 or wrong_at_most <= among


@settings(deadline=None)
@given(OBSERVATIONS, SIMILARITIES)
def test_a_threshold_comes_back_from_its_rows(observations: list[tuple[float, bool, int]], similarity: float) -> None:
    threshold = threshold_of(observations)
    again = Threshold.of(threshold.rows())
    assert again.rows() == threshold.rows()
    assert abs(again.right_at_least(similarity) - threshold.right_at_least(similarity)) < 1e-9


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.5, 0.999))
def test_the_bounds_hold_the_share_between_them(wrong: int, right: int, confidence: float) -> None:
    checked = wrong + right
    lower, upper = lower_bound(wrong, checked, confidence), upper_bound(wrong, checked, confidence)
    assert 0.0 <= lower <= upper <= 1.0
    if checked:
        assert lower - 1e-12 <= wrong / checked <= upper + 1e-12
    assert upper_bound(wrong, checked + 1, confidence) <= upper
    assert lower_bound(wrong + 1, checked + 1, confidence) >= lower


@given(BUCKETS, BUCKETS, BUCKETS)
def test_buckets_add_up_in_any_order(
    one: dict[int, tuple[int, int]], two: dict[int, tuple[int, int]], three: dict[int, tuple[int, int]]
) -> None:
    assert merged(one, merged(two, three)) == merged(merged(three, one), two) == merged(two, one, three)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-3 * BUCKET_S, KEPT * BUCKET_S / 8), st.booleans(), st.booleans()), max_size=60))
def test_an_audit_is_the_same_after_a_restart_and_serves_nothing_while_off(
    events: list[tuple[float, bool, bool]],
) -> None:
    audit, now = Audit(random.Random(1)), NOW  # noqa: S311  # the same in every run, and no secrets
    for pause, wrong, restarts in events:
        now += pause
        audit.note(now, wrong=wrong)
        before = audit.report(now)
        if restarts:
            saved = audit.saved()
            audit = Audit(random.Random(1))  # noqa: S311  # as above
            audit.restore(now, saved)
            assert audit.report(now) == before
        assert audit.serves(1.0, 0.0) == (audit.state is not State.OFF)
        assert before.lower <= before.upper
        assert before.proven == (before.upper <= 0.005)
