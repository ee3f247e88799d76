"""Which models may be asked, and for how much (`TIDEGATE_LLM__…`)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

PerMinute = Annotated[int, Field(ge=1)]


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


class LlmSettings(BaseModel):
    """The endpoints. With none, `OPENAI_API_KEY` and `OPENAI_BASE_URL` make one; with neither, rules answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoints: tuple[Endpoint, ...] = ()
    budget_usd_per_day: Annotated[float, Field(ge=0)] | None = None
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
