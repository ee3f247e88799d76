"""Connections to Redis or Valkey."""

from urllib.parse import urlsplit

import redis

from connectors.errors import UnreachableError
from connectors.redis.settings import RedisSettings

SETTING = "TIDEGATE_REDIS__URL"


def connect(settings: RedisSettings) -> redis.Redis:
    """Connect and ask for a sign of life.

    Raises:
        UnreachableError: nothing answers there within the connect time-out, or it refuses us.

    """
    url = settings.url.get_secret_value()
    try:
        client = redis.Redis.from_url(
            url, socket_connect_timeout=settings.connect_timeout_s, socket_timeout=settings.connect_timeout_s
        )
        client.ping()
    except (redis.RedisError, ValueError) as error:
        parts = urlsplit(url)
        address = f"{parts.hostname}:{parts.port or 6379}"
        raise UnreachableError("Redis", address, SETTING, type(error).__name__) from None
    return client
