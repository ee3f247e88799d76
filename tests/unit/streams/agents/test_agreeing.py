import pytest

from schemas.fields import Severity
from streams.agents.agreeing import agree
from streams.prompts.answer import Answer


def answer(summary: str, severity: Severity = Severity.INFO) -> Answer:
    return Answer(summary=summary, probable_causes=(), recommended_actions=(), severity=severity, confidence=0.5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{metric} of {device} rose to {value}.", "It went up, to {value}, and stays there."),
        ("Yes, it is hot.", "yes: it has been hot since {from}"),
        ("It isn't usual.", "That is not what it usually does."),
        ("The value fell.", "A drop to {value}."),
    ],
)
def test_the_same_in_other_words_agrees(one: str, other: str) -> None:
    assert agree(answer(one), answer(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It rose.", "It fell."),
        ("Yes, it is hot.", "No, it is hot."),
        ("It is usual.", "It is not usual."),
        ("It rose.", "It stayed as it was."),
    ],
)
def test_the_contrary_does_not(one: str, other: str) -> None:
    assert not agree(answer(one), answer(other))


def test_what_matters_more_is_another_answer() -> None:
    assert not agree(answer("It rose."), answer("It rose.", Severity.CRITICAL))
