import random

import pytest

from connectors.cache.semantic.audit import FLOOR, FRACTION, TIGHT, Audit, State
from connectors.cache.semantic.verdicts import BUCKET_S, KEPT, Window, bucket_of, merged

NOW = 1_800_000_000.0
WEEK_S = KEPT * BUCKET_S


def audit(**settings: float) -> Audit:
    return Audit(random.Random(1), **settings)  # noqa: S311  # the same in every run, and no secrets


def told(one: Audit, now: float, right: int, wrong: int = 0) -> Audit:
    for _ in range(right):
        one.note(now, wrong=False)
    for _ in range(wrong):
        one.note(now, wrong=True)
    return one


def share(draw: object, times: int = 4000) -> float:
    assert callable(draw)
    return sum(bool(draw()) for _ in range(times)) / times


def test_before_there_are_verdicts_nothing_is_proven_and_more_is_checked() -> None:
    one = audit()
    report = one.report(NOW)
    assert (report.state, report.checked, report.proven, report.missing) == (State.OPEN, 0, False, 598)
    assert str(report) == (
        "open: 0 wrong of 0 checked, at most 100.00% are wrong; "
        "unproven: for 0.50%, 598 more checks without a wrong one are needed"
    )
    assert share(one.checks) == pytest.approx(FLOOR, abs=0.03)


def test_after_enough_checks_it_is_proven_and_a_small_part_is_checked() -> None:
    one = told(audit(), NOW, 597)
    assert one.report(NOW).missing == 1
    report = told(one, NOW, 1).report(NOW)
    assert report.proven
    assert str(report) == "open: 0 wrong of 598 checked, at most 0.50% are wrong"
    assert share(one.checks) == pytest.approx(FRACTION, abs=0.01)


def test_a_fraction_above_the_floor_is_kept() -> None:
    assert share(audit(fraction=0.6).checks) == pytest.approx(0.6, abs=0.03)


def test_while_open_what_need_not_be_asked_is_served() -> None:
    one = audit()
    assert one.serves(0.6, 0.0)
    assert not one.serves(1.0, 1.0)
    assert share(lambda: one.serves(0.9, 0.7)) == pytest.approx(0.3, abs=0.03)
    assert not one.shadows(0.0)


def test_one_wrong_answer_tightens_until_it_is_rare_again() -> None:
    one = told(audit(), NOW, 100, 1)
    assert one.state is State.TIGHTENED
    assert share(one.checks, 100) == 1.0
    assert one.serves(TIGHT, 0.0)
    assert not one.serves(TIGHT - 0.001, 0.0)
    assert not one.serves(float("nan"), 0.0)
    told(one, NOW, 98)
    assert one.state is State.TIGHTENED
    assert told(one, NOW, 1).state is State.OPEN
    assert one.report(NOW).missing > 598


def test_wrong_answers_that_are_no_chance_turn_it_off() -> None:
    one = told(audit(), NOW, 100, 3)
    assert one.state is State.OFF
    assert not one.serves(1.0, 0.0)
    assert one.shadows(0.0)
    assert share(lambda: one.shadows(0.7)) == pytest.approx(0.3, abs=0.03)
    assert one.checks()


def test_off_ends_when_what_came_after_proves_the_contrary() -> None:
    one = told(audit(), NOW, 100, 3)
    told(one, NOW, 2000)
    assert one.state is State.OFF, "what is of the same half-hour does not count"
    later = NOW + BUCKET_S
    told(one, later, 597)
    report = one.report(later)
    assert (report.state, report.checked, report.wrong, report.missing) == (State.OFF, 597, 0, 1)
    assert told(one, later, 1).state is State.OPEN
    assert one.serves(0.6, 0.0)


def test_off_does_not_end_by_waiting() -> None:
    one = told(audit(), NOW, 100, 3)
    assert one.report(NOW + 3 * WEEK_S).state is State.OFF
    told(one, NOW + 3 * WEEK_S, 300, 2)
    assert told(one, NOW + 3 * WEEK_S, 598).state is State.OFF


def test_old_verdicts_fade() -> None:
    one = told(audit(), NOW, 100, 1)
    assert one.report(NOW + WEEK_S - 2 * BUCKET_S).state is State.TIGHTENED
    report = one.report(NOW + WEEK_S)
    assert (report.state, report.checked) == (State.OPEN, 0)


def test_the_verdicts_of_other_processes_count() -> None:
    one, other, third = audit(), told(audit(), NOW, 300), told(audit(), NOW, 298)
    one.hear(NOW, other.buckets, third.buckets)
    assert one.report(NOW).checked == 598
    assert one.report(NOW).proven
    one.hear(NOW, other.buckets, third.buckets)
    assert one.report(NOW).checked == 598, "what is heard takes the place of what was"
    one.hear(NOW, told(other, NOW, 0, 20).buckets)
    assert one.state is State.OFF


def test_what_claims_to_be_from_later_does_not_count() -> None:
    one = audit()
    one.hear(NOW, {bucket_of(NOW) + 1: (5, 0), bucket_of(NOW) + 2: (7, 7), bucket_of(NOW) - KEPT: (9, 9)})
    assert one.report(NOW).checked == 5


def test_a_clock_that_goes_back_does_not_stop_the_recovery() -> None:
    one = told(audit(), NOW, 100, 3)
    told(one, NOW - WEEK_S, 1)
    assert told(one, NOW - WEEK_S + BUCKET_S, 598).state is State.OPEN


@pytest.mark.parametrize("settings", [{"delta": 0.0}, {"delta": 1.0}, {"fraction": 0.0}, {"floor": 1.5}])
def test_shares_that_cannot_be_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        audit(**settings)


def test_a_window_keeps_a_week_at_the_most() -> None:
    window = Window()
    for number in range(3 * KEPT):
        window.note(NOW + number * BUCKET_S, wrong=number % 2 == 0)
    assert len(window.buckets) == KEPT
    assert sum(wrong for _, wrong in window.buckets.values()) == KEPT / 2


def test_buckets_add_up() -> None:
    assert merged({3: (1, 1), 1: (2, 0)}, {}, {3: (4, 0)}) == {1: (2, 0), 3: (5, 1)}
    assert list(merged({3: (1, 1), 1: (2, 0)})) == [1, 3]
