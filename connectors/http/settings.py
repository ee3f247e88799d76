"""Where the gateway listens (`TIDEGATE_HTTP__…`)."""

import ipaddress
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class HttpSettings(BaseModel):
    """The gateway's address, of which port 0 is a free one, and what it keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    # Nobody is asked for a key; only on a loopback address.
    open: bool = False
    # The key that the commands which talk to a gateway show it.
    key: SecretStr = SecretStr("")
    # For how many seconds a task that has ended is found in Redis; in the database it stays.
    results_s: Annotated[int, Field(ge=1)] = 24 * 3600

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the gateway."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @model_validator(mode="after")
    def _open_to_this_machine_only(self) -> Self:
        if self.open and not self.on_loopback:
            message = (
                f"without keys anyone who reaches {self.host} could write: use `tidegate keys create`, or 127.0.0.1"
            )
            raise ValueError(message)
        return self
