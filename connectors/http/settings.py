"""Where the gateway listens (`TIDEGATE_HTTP__…`)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class HttpSettings(BaseModel):
    """The gateway's address, of which port 0 is a free one, and what it keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    # For how many seconds a task that has ended is found in Redis; in the database it stays.
    results_s: Annotated[int, Field(ge=1)] = 24 * 3600
