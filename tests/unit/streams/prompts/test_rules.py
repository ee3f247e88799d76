from collections.abc import Callable

import pytest

from schemas.fields import Severity
from schemas.models import AnalysisRequest
from streams.prompts.answer import check
from streams.prompts.placeholders import fill
from streams.prompts.rules import CONFIDENCE_CEILING, RULES, explain

Make = Callable[..., AnalysisRequest]

WHEN = "between 2026-03-01 12:00:00 UTC and 2026-03-01 13:00:00 UTC"


def summary(request: AnalysisRequest) -> str:
    answer = explain(request)
    check(answer, request)
    return fill(answer.summary, request)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"kind": "spike", "direction": "up"},
            (
                f"bearing temperature of pump-7 jumped upwards for a short time {WHEN}: "
                "the value 91.5 °C is above the usual 60 °C, by 16 times the usual spread."
            ),
        ),
        (
            {"kind": "level", "direction": "down", "value": 50.0},
            (
                f"bearing temperature of pump-7 moved downwards to another level {WHEN}: "
                "the value 50 °C is below the usual 60 °C, by 5 times the usual spread."
            ),
        ),
        (
            {"kind": "flat-line", "direction": "none", "value": 60.0, "spread": 0.0},
            f"bearing temperature of pump-7 hardly moved {WHEN}: the value 60 °C is its usual one.",
        ),
        (
            {"kind": "range", "direction": "up", "spread": 0.0},
            (
                f"bearing temperature of pump-7 moved upwards out of the range that its class of devices allows {WHEN}"
                ": the value 91.5 °C is above the usual 60 °C."
            ),
        ),
        (
            {"kind": "deviation", "direction": "up", "spread": 21.0},
            (
                f"bearing temperature of pump-7 moved upwards away from its usual course {WHEN}: "
                "the value 91.5 °C is above the usual 60 °C, by 1.5 times the usual spread."
            ),
        ),
        (
            {"kind": "something new", "direction": "none"},
            (
                f"bearing temperature of pump-7 moved in an unusual way {WHEN}: "
                "the value 91.5 °C is above the usual 60 °C, by 16 times the usual spread."
            ),
        ),
    ],
)
def test_the_text_is_written_from_the_numbers(make: Make, changes: dict[str, object], expected: str) -> None:
    assert summary(make(**changes)) == expected


@pytest.mark.parametrize(("direction", "value"), [("up", 50.0), ("down", 91.5)])
def test_a_direction_that_the_numbers_deny_is_left_out(make: Make, direction: str, value: float) -> None:
    text = summary(make(direction=direction, value=value))

    assert "wards" not in text
    assert ("above" in text) == (value > 60.0)


def test_the_direction_of_a_spread_is_not_that_of_the_value(make: Make) -> None:
    assert "changed upwards in how much it varies" in summary(make(kind="variance", direction="up", value=50.0))


@pytest.mark.parametrize("kind", [*RULES, "flat_line", "FLAT-LINE", ""])
def test_spelling_does_not_matter_and_every_kind_is_answered(make: Make, kind: str) -> None:
    answer = explain(make(kind=kind))

    assert answer.probable_causes
    assert answer.recommended_actions
    assert explain(make(kind="flat_line")) == explain(make(kind="flat-line"))


def test_the_severity_is_the_detectors_and_the_confidence_is_modest(make: Make) -> None:
    weak, strong = explain(make(score=0.1)), explain(make(score=1.0, severity="critical"))

    assert (weak.severity, strong.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert weak.confidence < strong.confidence <= CONFIDENCE_CEILING


def test_a_question_is_not_pretended_to_be_answered(make: Make) -> None:
    assert summary(make(question="Is it broken?")).startswith("Rules cannot answer questions")
