"""Where the gateway listens (`TIDEGATE_HTTP__…`)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class HttpSettings(BaseModel):
    """The gateway's address. Port 0 takes a free one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
