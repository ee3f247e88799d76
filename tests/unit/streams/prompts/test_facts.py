from collections.abc import Callable
from datetime import timedelta

import pytest

from schemas.models import AnalysisRequest
from streams.prompts.facts import Facts, clip, quantise

Make = Callable[..., AnalysisRequest]


def test_facts_are_the_numbers_of_the_window_rounded(make: Make) -> None:
    facts = Facts.rounded(make())

    assert (facts.value, facts.baseline, facts.spread) == (91.5, 60.0, 2.0)
    assert (facts.deviation, facts.change_percent) == (16.0, 52.0)
    assert (facts.low, facts.high, facts.first, facts.last, facts.samples) == (60.0, 91.5, 60.0, 91.5, 6)
    assert facts.window_s == 3600.0
    assert facts.shape == (0, 0, 1, 5, 10, 16)


def test_windows_that_differ_in_device_time_and_digits_have_equal_facts(make: Make) -> None:
    one = make()
    later = timedelta(days=1)
    other = make(
        device_id="pump-8", value=91.48, window_start=one.window_start + later, window_end=one.window_end + later
    )

    assert Facts.of(one) == Facts.of(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "other"},
        {"device_class": "fan"},
        {"metric": "flow"},
        {"unit": "K"},
        {"kind": "spike"},
        {"direction": "down"},
        {"severity": "critical"},
        {"value": 140.0},
        {"baseline": 50.0},
        {"spread": 3.0},
        {"samples": []},
        {"question": "Is it broken?"},
    ],
)
def test_a_difference_that_matters_is_a_difference_of_facts(make: Make, changes: dict[str, object]) -> None:
    assert Facts.of(make()) != Facts.of(make(**changes))


def test_what_cannot_be_computed_is_none(make: Make) -> None:
    facts = Facts.of(make(baseline=0.0, spread=0.0, samples=[]))

    assert (facts.deviation, facts.change_percent, facts.low, facts.last, facts.samples) == (None, None, None, None, 0)
    assert facts.shape == ()


def test_an_alarm_is_told_coarsely(make: Make) -> None:
    facts = Facts.of(make())

    # 15.75 spreads are told as two and a half times a half as much again; level and spread are of the E6 series.
    assert (facts.baseline, facts.spread, facts.deviation) == (68.0, 2.2, 15.0)
    assert (facts.value, facts.change_percent) == (101.0, 49.0)
    assert (facts.low, facts.high, facts.first, facts.last, facts.samples) == (68.0, 101.0, 68.0, 101.0, 6)
    assert facts.window_s == 4000.0
    assert facts.shape == (0, 0, 0, 4, 10, 15)


def test_what_was_asked_for_is_told_as_it_is(make: Make) -> None:
    asked = make(question="How high was it?")
    assert Facts.of(asked) == Facts.rounded(asked)
    assert Facts.of(make(topic="")) == Facts.rounded(make(topic=""))


def test_alarms_that_differ_within_what_is_usual_have_equal_facts(make: Make) -> None:
    moment = make().window_start
    some = [{"ts": moment, "value": value} for value in (59.0, 61.5, 60.3, 91.0)]
    others = [{"ts": moment, "value": value} for value in (61.1, 58.2, 60.0, 92.3)]

    assert Facts.of(make(samples=some, baseline=59.4)) == Facts.of(make(samples=others, value=93.0, spread=2.1))


def test_a_baseline_around_zero_is_known_by_spreads(make: Make) -> None:
    near = [Facts.of(make(baseline=baseline)) for baseline in (0.0001, -0.3, 0.9)]

    assert {facts.baseline for facts in near} == {0.0}
    assert Facts.of(make(baseline=-4.4, spread=2.0)).baseline == -4.4


def test_many_samples_make_a_shape_of_eight_means(make: Make) -> None:
    moment = make().window_start
    samples = [{"ts": moment + timedelta(seconds=at), "value": 60.0 + 2 * (at // 10)} for at in range(80)]

    assert Facts.rounded(make(samples=samples)).shape == (0, 1, 2, 3, 4, 5, 6, 7)


def test_the_shape_has_limits(make: Make) -> None:
    moment = make().window_start
    samples = [{"ts": moment, "value": 1.7e308}, {"ts": moment, "value": -1.7e308}]

    assert Facts.of(make(samples=samples, spread=1e-300)).shape == (99, -99)


def test_huge_values_have_means(make: Make) -> None:
    samples = [{"ts": make().window_start, "value": 1.7e308}] * 16

    assert Facts.of(make(samples=samples, baseline=1.7e308)).shape == (0,) * 8


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (91.46, 91.5),
        (-0.01234, -0.0123),
        (0.0, 0.0),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (5e-324, 5e-324),
    ],
)
def test_quantise(value: float, rounded: float) -> None:
    assert quantise(value) == rounded


def test_minus_zero_is_zero() -> None:
    assert str(quantise(-0.0)) == "0.0"


def test_long_texts_are_cut_and_stay_different() -> None:
    one, other = clip("x" * 100 + "a", 32), clip("x" * 100 + "b", 32)

    assert len(one) == len(other) == 32
    assert one != other
    assert clip("x" * 32, 32) == "x" * 32
