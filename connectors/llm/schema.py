"""The type of an answer, as models are told it."""

import json
from functools import cache

import openai
from pydantic import BaseModel


@cache
def strict_schema(answer: type[BaseModel]) -> dict[str, object]:
    """Give the JSON schema of a model in the form that strict structured output demands; not to be changed.

    That form: every property required, none unknown, no references beside other keys. The library builds it for tools;
    for answers only a private function of it does.
    """
    return dict(openai.pydantic_function_tool(answer)["function"]["parameters"])


def request_bytes(system: str, user: str, answer: type[BaseModel]) -> int:
    """Count the bytes of what a model reads: the two messages and the schema of the answer."""
    return len(system.encode()) + len(user.encode()) + _schema_bytes(answer)


@cache
def _schema_bytes(answer: type[BaseModel]) -> int:
    return len(answer.__name__) + len(json.dumps(strict_schema(answer)).encode())
