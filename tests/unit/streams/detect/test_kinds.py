"""Which kind an alarm is, which way it went and how much it matters."""

from collections.abc import Sequence

import pytest

from schemas.fields import Direction, Severity
from streams.detect.kinds import FLAT, MISSING, RANGE, Found, direction_of, kind_of, severity_of

CALM = Found(
    ratio=1.2, deviation=0.0, shift=0.0, season=0.0, pattern=0.0, baseline=20.0, spread=0.5, flat=0.0, outside=0.0
)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([20.0, 20.1, 30.0], "deviation"),
        ([20.0, 30.0, 20.2], "spike"),
        ([20.0, 10.0, 20.2], "spike"),
        ([20.0, 0.2], "dropout"),
        ([20.0, -40.0], "deviation"),
        ([20.0, 30.0, 31.0, 29.0, 30.0], "level"),
        ([20.0, 30.0, 31.0, 29.0], "deviation"),
        ([20.0, 30.0, 10.0, 29.0, 12.0], "variance"),
    ],
)
def test_readings_that_left_the_level(values: Sequence[float], kind: str) -> None:
    assert kind_of(CALM, values) == kind


@pytest.mark.parametrize(
    ("score", "kind"), [("deviation", "variance"), ("shift", "level"), ("season", "season"), ("pattern", "pattern")]
)
def test_without_such_readings_the_strongest_score_says_it(score: str, kind: str) -> None:
    others = dict.fromkeys(("deviation", "shift", "season", "pattern"), 1.0)
    assert kind_of(CALM._replace(**(others | {score: 3.0})), [20.0, 20.3]) == kind


def test_what_is_known_for_sure_comes_first() -> None:
    assert kind_of(CALM._replace(flat=1.0, outside=1.0, deviation=9.0), [30.0] * 16) == RANGE
    assert kind_of(CALM._replace(flat=1.0, deviation=9.0), [30.0] * 16) == FLAT


@pytest.mark.parametrize(
    ("kind", "value", "direction"),
    [
        ("level", 21.0, Direction.UP),
        ("level", 19.0, Direction.DOWN),
        ("level", 20.0, Direction.NONE),
        (FLAT, 21.0, Direction.NONE),
        (MISSING, 21.0, Direction.NONE),
    ],
)
def test_direction(kind: str, value: float, direction: Direction) -> None:
    assert direction_of(kind, CALM, value) is direction


@pytest.mark.parametrize(
    ("kind", "value", "severity"),
    [
        ("level", 22.9, Severity.INFO),
        ("level", 23.1, Severity.WARNING),
        ("level", 13.9, Severity.CRITICAL),
        (MISSING, 20.0, Severity.WARNING),
        (FLAT, 20.0, Severity.INFO),
        (RANGE, 20.0, Severity.WARNING),
        (RANGE, 40.0, Severity.CRITICAL),
    ],
)
def test_severity(kind: str, value: float, severity: Severity) -> None:
    assert severity_of(kind, CALM, value) is severity


@pytest.mark.parametrize(
    ("kind", "ratio", "severity"),
    [
        ("pattern", 1.9, Severity.INFO),
        ("pattern", 2.0, Severity.WARNING),
        ("pattern", 4.0, Severity.CRITICAL),
        (MISSING, 9.0, Severity.WARNING),
    ],
)
def test_a_score_far_above_the_threshold_matters_however_few_spreads_it_is(
    kind: str, ratio: float, severity: Severity
) -> None:
    assert severity_of(kind, CALM._replace(ratio=ratio), 20.5) is severity
