"""The answer to a prompt of many windows, taken apart: what cannot be used leaves the rest as it is."""

from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from streams.prompts.answer import Answer


class Numbered(Answer):
    """The answer to the window of this number."""

    n: int


class Answers(BaseModel):
    """What a model is asked for. Of what it gives, answers that are not of their type are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: tuple[Numbered, ...]

    @field_validator("answers", mode="before")
    @classmethod
    def _those_that_can_be_read(cls, given: Any) -> Any:  # noqa: ANN401  # whatever a model wrote
        return list(filter(_is_readable, given)) if isinstance(given, list) else given


def by_window(answers: Answers, windows: int) -> dict[int, Answer]:
    """Give the answer to each of the windows 1 to `windows` that has just one: of two, nobody knows which is meant."""
    times = Counter(answer.n for answer in answers.answers)
    return {answer.n: answer for answer in answers.answers if times[answer.n] == 1 and 1 <= answer.n <= windows}


def shares(total: int, parts: int) -> list[int]:
    """Share out a number of tokens evenly: they add up to it again, and differ by one at the most."""
    return [total // parts + (part < total % parts) for part in range(parts)]


def _is_readable(given: object) -> bool:
    try:
        Numbered.model_validate(given)
    except ValidationError:
        return False
    return True
