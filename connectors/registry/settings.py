"""Where the registry is, if there is one beside the gateway's (`TIDEGATE_REGISTRY__…`)."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class RegistrySettings(BaseModel):
    """A registry that speaks as Confluent's does. Without an address there is none, and ids are ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: str = ""
    # Whether schemas that it does not have are registered; else whoever keeps it has to do that before.
    auto_register: bool = True
    timeout_s: Annotated[float, Field(gt=0)] = 10.0

    @field_validator("url")
    @classmethod
    def _is_one(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
            message = "an address that begins with https:// or http:// is expected"
            raise ValueError(message)
        if "@" in parts.netloc:
            message = "the user and the password have settings of their own: …__USERNAME and …__PASSWORD"
            raise ValueError(message)
        return url.rstrip("/")
