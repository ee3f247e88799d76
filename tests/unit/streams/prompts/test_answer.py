from collections.abc import Callable
from math import isnan

import pytest
from pydantic import ValidationError

from schemas.models import AnalysisRequest
from streams.prompts.answer import ITEMS, SENTENCE_LENGTH, Answer, RefusedAnswerError, check, numbers

Make = Callable[..., AnalysisRequest]


def answer(summary: object, **changes: object) -> Answer:
    fields: dict[str, object] = {
        "summary": summary,
        "probable_causes": ["A worn bearing."],
        "recommended_actions": ["Look at it."],
        "severity": "warning",
        "confidence": 0.7,
    }
    return Answer.model_validate(fields | changes)


@pytest.mark.parametrize(
    "text",
    [
        "It rose to {value} from {baseline} between {from} and {to}.",
        "It rose to 91.5 from 60.",
        "It rose to about 92.",  # rounded to the digits written
        "It rose to about 91.4.",  # within 1 %
        "It rose by 31.5, or 52 %, or 52.5 percent.",
        "It fell by -31.5.",  # a change may have either sign
        "It is 15.75 spreads away; roughly 16 times the spread of 2.0.",
        "In 6 readings over 1 hour, or 60 minutes, or 3600 s, or 3,600 s.",
        "The PT100 of the pump; watch the CO2 too.",  # digits that continue a word
        "Between 60\N{EN DASH}91.5.",  # a range is no minus
        "\uff16\uff10 degrees",  # full-width digits of a number that is there
        "6e1 or 9.15E+1",
    ],
)
def test_what_the_window_says_is_accepted(make: Make, text: str) -> None:
    check(answer(text), make())


@pytest.mark.parametrize(
    "text",
    [
        "It rose to 85.",
        "It rose to 910.",
        "It rose to 9.15.",
        "It fell to -60.",
        "It fell to \N{MINUS SIGN}60.",
        "It lasted 2.5 hours.",
        "It rose to 85C.",
        "Set it to .5 at once.",
        "Call 555-0100.",
        "It happened at 12:47.",
        "device pump-9 is worse",
        "\u0664\u0662 degrees",  # 42 in Arabic-Indic digits
        "10\N{SUPERSCRIPT FIVE} times",
        "\N{VULGAR FRACTION ONE HALF} of it",
        "1e999",
        "9" * 900,
        "6e99999999999999999999",
        "6e-99999999999999999999",
    ],
)
def test_a_number_that_the_window_does_not_have_is_refused(make: Make, text: str) -> None:
    with pytest.raises(RefusedAnswerError) as caught:
        check(answer(text), make())

    assert caught.value.reason == "number"


@pytest.mark.parametrize("field", ["probable_causes", "recommended_actions"])
def test_every_text_of_the_answer_is_checked(make: Make, field: str) -> None:
    with pytest.raises(RefusedAnswerError, match="number: 4711"):
        check(answer("Fine.", **{field: ["Fine.", "Order part 4711."]}), make())


@pytest.mark.parametrize("text", ["{operator} knows.", "{}", "{value:.1f}", "{device.id}"])
def test_an_unknown_placeholder_is_refused(make: Make, text: str) -> None:
    with pytest.raises(RefusedAnswerError) as caught:
        check(answer(text), make())

    assert caught.value.reason == "placeholder"


def test_a_negative_value_needs_its_sign(make: Make) -> None:
    request = make(value=-20.0, baseline=-5.0, samples=[])

    check(answer("It fell to -20 from -5, by 15."), request)
    with pytest.raises(RefusedAnswerError):
        check(answer("It stood at 20."), request)


def test_a_rounding_that_changes_the_story_is_refused(make: Make) -> None:
    request = make(value=0.6, baseline=0.4, spread=0.03, samples=[])

    check(answer("It rose to 0.6 from 0.4."), request)
    with pytest.raises(RefusedAnswerError):
        check(answer("There were 0 problems."), make(value=0.3, baseline=0.4, spread=0.03))


def test_numbers_are_found_with_their_precision() -> None:
    assert list(numbers("a 1,234.50 b -7 c 2-5 d 3e2 e PT100 f .25")) == [
        ("1,234.50", 1234.5, 2),
        ("7", -7.0, 0),
        ("2", 2.0, 0),
        ("5", 5.0, 0),
        ("3e2", 300.0, -2),
        (".25", 0.25, 2),
    ]
    ((written, value, _),) = numbers("m\N{SUPERSCRIPT TWO} \N{VULGAR FRACTION ONE HALF}")
    assert written == "\N{VULGAR FRACTION ONE HALF}"
    assert isnan(value)


@pytest.mark.parametrize(
    "changes",
    [
        {"summary": ""},
        {"summary": " \n"},
        {"summary": "x" * (SENTENCE_LENGTH + 1)},
        {"summary": "a\x00b"},
        {"summary": "a\x1b[31mb"},
        {"probable_causes": ["x"] * (ITEMS + 1)},
        {"recommended_actions": ["fine", ""]},
        {"severity": "fatal"},
        {"confidence": 1.01},
        {"confidence": float("nan")},
        {"surprise": 1},
    ],
)
def test_an_answer_out_of_shape_is_no_answer(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        answer(**{"summary": "Fine.", **changes})


def test_the_schema_sent_to_servers_keeps_to_what_strict_output_allows() -> None:
    text = str(Answer.model_json_schema())

    assert "maxLength" not in text
    assert "minLength" not in text
