"""Keys of the API: what they look like, what is kept of them, and what they allow. Pure, but for the chance in them."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

ID_BYTES, SECRET_BYTES = 7, 32

_WRITTEN: Final = re.compile(r"tg_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key may be allowed to do."""

    INGEST = "ingest"
    ASK = "ask"
    READ = "read"
    # How everything does, in numbers: for Prometheus.
    METRICS = "metrics"
    # All of it, for every tenant.
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: nothing of it opens anything."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    hash: bytes
    per_minute: int | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None

    def opens(self, secret: str, now: datetime) -> bool:
        """Say whether a secret is this key's, and the key is still good. Takes as long for any wrong secret."""
        is_it = hmac.compare_digest(self.hash, digest(secret))
        return is_it and self.revoked is None and (self.expires is None or now < self.expires)


def make() -> tuple[str, str]:
    """Make a key: its id, which may be shown, and its secret."""
    key_id = base64.b32encode(secrets.token_bytes(ID_BYTES)).decode().rstrip("=").lower()
    return key_id, secrets.token_urlsafe(SECRET_BYTES)


def written(key_id: str, secret: str) -> str:
    """Write a key as its owner shows it."""
    return f"tg_{key_id}_{secret}"


def parse(text: str) -> tuple[str, str] | None:
    """Take what `written` gave apart: id and secret. None: it is none."""
    found = _WRITTEN.fullmatch(text)
    return None if found is None else (found[1], found[2])


def digest(secret: str) -> bytes:
    """Give what is kept of a secret: SHA-256. It is 256 bits of chance, so no slow hash is needed to keep it safe."""
    return hashlib.sha256(secret.encode()).digest()
