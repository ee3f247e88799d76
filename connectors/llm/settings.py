"""Which models may be asked, and for how much (`TIDEGATE_LLM__…`)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

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
    region: str = ""


class LlmSettings(BaseModel):
    """The endpoints. With none, `OPENAI_API_KEY` and `OPENAI_BASE_URL` make one; with neither, rules answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoints: tuple[Endpoint, ...] = ()
    budget_usd_per_day: Annotated[float, Field(ge=0)] | None = None
    # How many windows may share a call while all calls that `max_concurrent` allows are out.
    windows_per_call: Annotated[int, Field(ge=1, le=64)] = 16
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
