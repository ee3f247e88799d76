"""Which models may be asked, and for how much (`TIDEGATE_LLM__…`)."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

PerMinute = Annotated[int, Field(ge=1)]
Dollars = Annotated[Decimal, Field(ge=0, le=10**9, allow_inf_nan=False)]


class Tier(StrEnum):
    """How able, and how dear, a model is."""

    SMALL = "small"
    LARGE = "large"


class OutputLimit(StrEnum):
    """What a server calls the most tokens that it may answer with."""

    MAX_COMPLETION_TOKENS = "max_completion_tokens"
    MAX_TOKENS = "max_tokens"
    # It takes no limit: then a call may cost more than was reserved for it.
    NONE = "none"


class Endpoint(BaseModel):
    """One OpenAI-compatible server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    base_url: str = ""
    api_key: SecretStr = SecretStr("")
    model: str = "gpt-4o-mini"
    rpm: PerMinute | None = None
    tpm: PerMinute | None = None
    max_concurrent: Annotated[int, Field(ge=1)] = 8
    # How much of the calls it gets, beside the others.
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    # Where it is; those of another region than ours are asked only while none of ours has room.
    region: str = ""
    # Large ones are asked what matters most, and what a small one could not answer.
    tier: Tier = Tier.SMALL
    # Dollars for a million tokens. Only for models that the list of prices does not have, or at a price of your own.
    input_usd: Dollars | None = None
    output_usd: Dollars | None = None
    output_limit: OutputLimit = OutputLimit.MAX_COMPLETION_TOKENS
    # Room for what the model thinks before it answers.
    reasoning_tokens: Annotated[int, Field(ge=0, le=10**6)] = 0
    # It takes batches, at half the price: what is not urgent goes there.
    batch: bool = False

    @model_validator(mode="after")
    def _both_prices_or_none(self) -> Self:
        if (self.input_usd is None) != (self.output_usd is None):
            message = "input_usd and output_usd are set together"
            raise ValueError(message)
        return self


def models(endpoints: Iterable[Endpoint], tier: Tier) -> list[str]:
    """Name the models that are asked for a tier: all of them, where there is only one tier."""
    listed = list(endpoints)
    is_tiered = len({one.tier for one in listed}) > 1
    return sorted({one.model for one in listed if one.tier is tier or not is_tiered})


class LlmSettings(BaseModel):
    """The endpoints. With none, `OPENAI_API_KEY` and `OPENAI_BASE_URL` make one; with neither, rules answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoints: tuple[Endpoint, ...] = ()
    # A file with the same list, in place of it; it is read again when it changes.
    endpoints_file: Path | None = None
    # What gives questions their vectors (only its name, address, key and model count), in place of a small model that
    # is in a wheel; and how many dimensions it is asked for, where it takes that. None: its own.
    embeddings: Endpoint | None = None
    embedding_dimensions: Annotated[int, Field(ge=1, le=8192)] | None = None
    # Dollars for a day (in UTC): of all tenants, of each of them, and of those that are named here.
    budget_usd_per_day: Dollars | None = None
    tenant_budget_usd_per_day: Dollars | None = None
    tenant_budgets_usd_per_day: dict[str, Dollars] = Field(default_factory=dict)
    # How many windows may share a call while all calls that `max_concurrent` allows are out.
    windows_per_call: Annotated[int, Field(ge=1, le=64)] = 16
    # How long one attempt at a call may take; all of them together take half as much again at the most.
    timeout_s: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("endpoints")
    @classmethod
    def _names_are_of_one_each(cls, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        names = [endpoint.name for endpoint in endpoints]
        if len(set(names)) < len(names):
            message = "two endpoints have the same name"
            raise ValueError(message)
        return endpoints
