"""How to reach Redis or Valkey (`TIDEGATE_REDIS__…`)."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

TLS = "rediss"


class RedisSettings(BaseModel):
    """One server. An empty `url` means: start an embedded Valkey."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A URL may carry a password, so it is never printed.
    url: SecretStr = SecretStr("")
    # With rediss://…: which authorities count, where not the system's, and a certificate of our own.
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0

    @property
    def location(self) -> str:
        """The URL with all that belongs to it, as the client takes it. It may carry a password."""
        url = self.url.get_secret_value()
        files = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.certificate_file,
            "ssl_keyfile": self.key_file,
        }
        given = {name: file for name, file in files.items() if file}
        if not given:
            return url
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(given)}"

    @model_validator(mode="after")
    def _files_are_for_tls(self) -> "RedisSettings":
        if (self.ca_file or self.certificate_file or self.key_file) and not self.url.get_secret_value().startswith(
            f"{TLS}://"
        ):
            message = f"certificates are for a URL that begins with {TLS}://"
            raise ValueError(message)
        missing = [file for file in (self.ca_file, self.certificate_file, self.key_file) if file and not _is_file(file)]
        if missing:
            message = f"there is no file {missing[0]}"
            raise ValueError(message)
        return self


def _is_file(name: str) -> bool:
    return Path(name).is_file()
