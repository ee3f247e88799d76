"""Who is told of what (`TIDEGATE_WEBHOOKS`, a JSON list)."""

import base64
import binascii
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from schemas.fields import Severity
from schemas.models import Insight

PREFIX: Final = "whsec_"
# As Standard Webhooks has it.
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
# After so many seconds an attempt is made again; behind the last one the message is dead. 21 hours in all.
DELAYS_S: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 21600.0, 43200.0)

_GRAVITY: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class Webhook(BaseModel):
    """One address that is told of insights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    # Addresses of this kind often are secrets themselves.
    url: SecretStr
    secret: SecretStr
    # Insights at least as grave as that.
    severity: Severity = Severity.CRITICAL
    # Insights of this tenant; None: of all.
    tenant: str | None = None
    # How long an attempt may take, and how many there are.
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    attempts: Annotated[int, Field(ge=1, le=len(DELAYS_S) + 1)] = len(DELAYS_S) + 1

    @field_validator("url")
    @classmethod
    def _is_one(cls, url: SecretStr) -> SecretStr:
        # Its parts are not named in the message.
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = "an address that begins with https:// or http:// is expected"
            raise ValueError(message)
        return url

    @field_validator("secret")
    @classmethod
    def _is_long_enough(cls, secret: SecretStr) -> SecretStr:
        try:
            key = key_of(secret)
        except binascii.Error:
            key = b""
        if not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
            message = (
                f"{PREFIX} and {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes in base64 are expected:"
                " `tidegate webhooks secret` makes one"
            )
            raise ValueError(message)
        return secret

    def wants(self, insight: Insight) -> bool:
        """Say whether it is to be told of an insight."""
        return _GRAVITY[insight.severity] >= _GRAVITY[self.severity] and self.tenant in {None, insight.tenant}


def key_of(secret: SecretStr) -> bytes:
    """Give the bytes of a secret. Raises `binascii.Error` where it is not base64."""
    return base64.b64decode(secret.get_secret_value().removeprefix(PREFIX), validate=True)
