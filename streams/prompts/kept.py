"""An answer as it is kept for others who ask the same, and the key that says what is the same."""

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from streams.prompts.answer import Answer, numbers
from streams.prompts.facts import Facts
from streams.prompts.prompt import fingerprint


class Kept(BaseModel):
    """An answer with its placeholders, who gave it, and what it took."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    answer: Answer
    model: Annotated[str, Field(max_length=256)]
    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)]
    cost_usd: Annotated[float, Field(ge=0)]


# What is read from a cache must be of this very type: another one has other keys.
_SCHEMA = hashlib.sha256(json.dumps(Kept.model_json_schema(), sort_keys=True).encode()).hexdigest()


def digest(tenant: str, prompt_hash: str, models: Iterable[str]) -> str:
    """SHA-256, in hexadecimal, of all that an answer depends on: tenant, models, schema, and the prompt with its facts.

    `prompt_hash` is that of an insight (`streams.prompts.prompt.fingerprint`).
    """
    parts = [tenant, sorted(set(models)), _SCHEMA, prompt_hash]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def surroundings(facts: Facts, models: Iterable[str]) -> tuple[str, ...]:
    """Give all that an answer to a question depends on but its tenant and its words."""
    return (*sorted(set(models)), _SCHEMA, fingerprint(facts.model_copy(update={"question": None})))


def is_for_others(answer: Answer) -> bool:
    """Say whether an answer fits every window with the same facts: it has no number but those that are filled in."""
    return not any(True for text in answer.texts() for _ in numbers(text))
