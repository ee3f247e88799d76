"""The bound and the audit of a semantic cache, whatever was seen."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cache.semantic.audit import Audit, State
from connectors.cache.semantic.equivalence import Equivalences
from connectors.cache.semantic.proportion import lower_bound, upper_bound
from connectors.cache.semantic.verdicts import BUCKET_S, KEPT, merged

DELTAS = st.floats(1e-4, 0.3)
NOW = 1_800_000_000.0
BUCKETS = st.dictionaries(
    st.integers(0, 50), st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (sum(pair), pair[1]))
)


FORMS = st.sampled_from("abcdef")
SEEN = st.lists(st.tuples(FORMS, FORMS, st.booleans(), st.integers(1, 6)), max_size=30)


def known_of(seen: list[tuple[str, str, bool, int]]) -> Equivalences:
    known = Equivalences()
    for one, other, correct, times in seen:
        for _ in range(times):
            known.seen(one, other, correct=correct)
    return known


@given(SEEN, FORMS, FORMS, DELTAS)
def test_what_is_served_keeps_the_bound_and_no_form_comes_first(
    seen: list[tuple[str, str, bool, int]], one: str, other: str, delta: float
) -> None:
    known = known_of(seen)
    right, tau = known.right_at_least(one, other), known.explore_probability(one, other, delta)
    assert right == known.right_at_least(other, one)
    assert 0.0 <= tau <= 1.0
    assert (1 - tau) * (1 - right) <= delta + 1e-12
    assert tau == 1.0 or 1 - right <= 2 * delta


@given(SEEN, FORMS, FORMS)
def test_what_speaks_against_two_forms_makes_them_no_more_alike(
    seen: list[tuple[str, str, bool, int]], one: str, other: str
) -> None:
    known = known_of(seen)
    before = known.right_at_least(one, other)
    known.seen(one, other, correct=False)
    assert known.right_at_least(one, other) <= before
    for _ in range(200):
        known.seen(one, other, correct=False)
    assert one == other or known.right_at_least(one, other) < 0.01


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
@given(st.lists(st.tuples(st.floats(-3 * BUCKET_S, KEPT * BUCKET_S / 8), st.booleans()), max_size=60))
def test_an_audit_serves_nothing_while_off(events: list[tuple[float, bool]]) -> None:
    audit, now = Audit(random.Random(1)), NOW  # noqa: S311  # the same in every run, and no secrets
    for pause, wrong in events:
        now += pause
        audit.note(now, wrong=wrong)
        before = audit.report(now)
        assert audit.serves(1.0, 0.0) == (audit.state is not State.OFF)
        assert before.lower <= before.upper
        assert before.proven == (before.upper <= 0.005)
