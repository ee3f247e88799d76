"""Chat completions as they go over the wire: the body of a request, and what is read of an answer."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.llm.errors import WrongAnswerError
from connectors.llm.prices import Usage
from connectors.llm.schema import strict_schema
from connectors.llm.settings import Endpoint, OutputLimit, Tier

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """An answer, the model that gave it (as the endpoint names it), and its tokens."""

    answer: A
    model: str
    usage: Usage
    # How long the endpoint should be left alone, or it would say that it is too much.
    rest_s: float = 0.0
    # Which endpoint it was, where there are several, and of which tier.
    endpoint: str = ""
    tier: Tier | None = None


class Loose(BaseModel):
    """What is read of what a server says; compatible servers add and leave out a lot."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class _Message(Loose):
    content: str | None = None
    refusal: str | None = None


class _Choice(Loose):
    message: _Message
    finish_reason: str | None = None


class _Kept(Loose):
    cached_tokens: int = Field(default=0, ge=0, lt=2**63)


class _Tokens(Loose):
    # Below what a long can hold: a count beyond it could not be stored.
    prompt_tokens: int = Field(default=0, ge=0, lt=2**63)
    completion_tokens: int = Field(default=0, ge=0, lt=2**63)
    prompt_tokens_details: _Kept | None = None

    def usage(self) -> Usage:
        kept = self.prompt_tokens_details
        return Usage(self.prompt_tokens, self.completion_tokens, kept.cached_tokens if kept else 0)


class _Completion(Loose):
    choices: tuple[_Choice, ...]
    model: str = ""
    usage: _Tokens | None = None


def body(
    endpoint: Endpoint, system: str, user: str, answer: type[BaseModel], *, output_tokens: int | None = None
) -> dict[str, Any]:
    """Ask for an answer of the type `answer`, as structured output, of so many tokens at the most."""
    asked: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": answer.__name__, "schema": strict_schema(answer), "strict": True},
        },
    }
    if output_tokens is not None and endpoint.output_limit is not OutputLimit.NONE:
        asked[str(endpoint.output_limit)] = output_tokens + endpoint.reasoning_tokens
    return asked


def read(endpoint: Endpoint, written: bytes | str, answer: type[A]) -> Reply[A]:
    """Read an answer of the type `answer`.

    Raises:
        WrongAnswerError: a refusal, or an answer that is cut off, filtered, empty or not of the type.

    """
    name = endpoint.name
    try:
        completion = _Completion.model_validate_json(written)
    except ValidationError as error:
        raise WrongAnswerError(name, "protocol", first_wrong(error)) from None
    usage = (completion.usage or _Tokens()).usage()
    if not completion.choices:
        raise WrongAnswerError(name, "empty", usage=usage)
    choice = completion.choices[0]
    if choice.message.refusal:
        raise WrongAnswerError(name, "refusal", usage=usage)
    if choice.finish_reason == "length":
        raise WrongAnswerError(name, "truncated", usage=usage)
    if choice.finish_reason == "content_filter":
        raise WrongAnswerError(name, "filtered", usage=usage)
    if not choice.message.content:
        raise WrongAnswerError(name, "empty", usage=usage)
    try:
        parsed = answer.model_validate_json(choice.message.content)
    except ValidationError as error:
        raise WrongAnswerError(name, "schema", first_wrong(error), usage) from None
    named = completion.model if completion.model.isprintable() else ""
    return Reply(parsed, named or endpoint.model, usage)


def first_wrong(error: ValidationError) -> str:
    """Name the first thing wrong, without anything that the server wrote."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The place of an unknown field is its name, which is the server's.
    where = "" if problem["type"] == "extra_forbidden" else ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['type']}" if where else problem["type"]
