"""How to reach Redis or Valkey (`TIDEGATE_REDIS__…`)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class RedisSettings(BaseModel):
    """One server. An empty `url` means: start an embedded Valkey."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A URL may carry a password, so it is never printed.
    url: SecretStr = SecretStr("")
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
