"""Connections to Redis or Valkey."""

from urllib.parse import urlsplit

import redis

from connectors.errors import UnreachableError
from connectors.redis.settings import RedisSettings

SETTING = "TIDEGATE_REDIS__URL"
DEFAULT_PORT = 6379
UNREADABLE = "an address that cannot be read"


def connect(settings: RedisSettings) -> redis.Redis:
    """Connect and ask for a sign of life.

    Raises:
        UnreachableError: nothing answers there within the connect time-out, or it refuses us.

    """
    url = settings.location
    try:
        client = redis.Redis.from_url(
            url, socket_connect_timeout=settings.connect_timeout_s, socket_timeout=settings.connect_timeout_s
        )
        client.ping()
    except (redis.RedisError, ValueError) as error:
        raise UnreachableError("Redis", address(url), SETTING, type(error).__name__) from None
    return client


def address(url: str) -> str:
    """Say where a URL leads, without its user, password and options."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:  # what stands for the port is no number
        return UNREADABLE
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return UNREADABLE if parts.hostname is None else f"{parts.scheme}://{parts.hostname}:{port}{parts.path or '/0'}"
