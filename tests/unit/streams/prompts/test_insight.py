from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from schemas.codec import decode, encode
from schemas.fields import Severity, Source, deterministic_id
from schemas.models import AnalysisRequest, Insight
from streams.prompts.answer import SENTENCE_LENGTH, Answer, RefusedAnswerError
from streams.prompts.insight import TEXT_LENGTH, Origin, insight

Make = Callable[..., AnalysisRequest]

ANSWER = Answer(
    summary="{metric} of {device} rose to {value}.",
    probable_causes=("A worn bearing of {device}.",),
    recommended_actions=("Stop it before {baseline} is far away.",),
    severity=Severity.CRITICAL,
    confidence=0.7,
)
ORIGIN = Origin(
    source=Source.MODEL,
    created=datetime(2026, 3, 1, 13, 0, 9, tzinfo=UTC),
    latency_s=6.5,
    model="gpt",
    prompt_hash="ab" * 32,
    prompt_tokens=500,
    completion_tokens=80,
    cost_usd=0.0002,
)


def test_an_insight_says_what_was_answered_about_what_and_by_whom(make: Make) -> None:
    request = make()
    made = insight(request, ANSWER, ORIGIN)

    assert made.summary == "bearing temperature of pump-7 rose to 91.5 °C."
    assert made.probable_causes == ("A worn bearing of pump-7.",)
    assert made.recommended_actions == ("Stop it before 60 °C is far away.",)
    assert (made.severity, made.confidence) == (Severity.CRITICAL, 0.7)
    shared = set(AnalysisRequest.model_fields) & set(Insight.model_fields) - {"id", "severity"}
    assert {name: getattr(made, name) for name in shared} == {name: getattr(request, name) for name in shared}
    told = ("source", "created", "latency_s", "model", "prompt_hash", "prompt_tokens", "completion_tokens", "cost_usd")
    assert all(getattr(made, name) == getattr(ORIGIN, name) for name in told)
    assert decode(encode(made), Insight) == made


def test_the_id_depends_on_the_request_alone(make: Make) -> None:
    by_rules = Origin(source=Source.RULES, created=ORIGIN.created, latency_s=0.0)
    made = insight(make(), ANSWER, ORIGIN)

    assert made.id == deterministic_id("insight", make().id) == insight(make(), ANSWER, by_rules).id
    assert made.request_id == make().id
    assert insight(make(id="7f1c7d3e-5a53-5c0b-9a0e-7469646567a7"), ANSWER, ORIGIN).id != made.id


def test_an_answer_that_contradicts_the_window_makes_no_insight(make: Make) -> None:
    with pytest.raises(RefusedAnswerError):
        insight(make(), ANSWER.model_copy(update={"summary": "It rose to 200."}), ORIGIN)


def test_an_answer_that_grows_beyond_measure_makes_no_insight(make: Make) -> None:
    # Short as it is written, and far too long once a long name is in all its places.
    summary = "{device}" * (SENTENCE_LENGTH // len("{device}"))
    with pytest.raises(RefusedAnswerError) as caught:
        insight(make(device_id="x" * 128), ANSWER.model_copy(update={"summary": summary}), ORIGIN)

    assert caught.value.reason == "length"


def test_the_limit_is_that_of_the_contract(make: Make) -> None:
    longest = insight(make(), ANSWER, ORIGIN).model_copy(update={"summary": "x" * TEXT_LENGTH}).model_dump()

    Insight.model_validate(longest)
    with pytest.raises(ValueError, match="summary"):
        Insight.model_validate(longest | {"summary": "x" * (TEXT_LENGTH + 1)})
