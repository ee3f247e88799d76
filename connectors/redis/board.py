"""Where workers tell for a while how they do: each its own note, which is gone when its worker is."""

from collections.abc import Mapping

import redis
from redis.asyncio import Redis

from connectors.errors import UnreachableError
from connectors.redis.client import SETTING, address, connect
from connectors.redis.settings import RedisSettings

PREFIX = "tidegate:board:"
# How long a note is there, unless it is renewed.
KEPT_S = 20
TIMEOUT_S = 1.0
# Notes longer than this are nobody's of ours.
LONGEST = 256 * 1024


class Board:
    """One worker's note; for one event loop."""

    def __init__(self, settings: RedisSettings, *, worker: str) -> None:
        """Nothing is connected yet. `worker` is another one in each process."""
        self._url = settings.location
        self._key = f"{PREFIX}{worker}"
        self._redis = Redis.from_url(self._url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)

    async def tell(self, note: bytes) -> None:
        """Put the note up, or renew it.

        Raises:
            UnreachableError: Redis does not answer.

        """
        try:
            await self._redis.set(self._key, note, ex=KEPT_S)
        except (redis.RedisError, OSError) as error:
            raise UnreachableError("Redis", address(self._url), SETTING, type(error).__name__) from None

    async def close(self) -> None:
        """Take the note down, if Redis answers, and end the connection."""
        try:
            await self._redis.delete(self._key)
        except (redis.RedisError, OSError):
            pass  # it goes by itself
        finally:
            await self._redis.aclose()


def notes(settings: RedisSettings) -> Mapping[str, bytes]:
    """Give the notes that are up, by worker.

    Raises:
        UnreachableError: Redis does not answer.

    """
    client = connect(settings)
    try:
        keys = sorted(client.scan_iter(match=f"{PREFIX}*", count=1000))
        found = {key: client.getrange(key, 0, LONGEST) for key in keys}
    except redis.RedisError as error:
        url = settings.location
        raise UnreachableError("Redis", address(url), SETTING, type(error).__name__) from None
    finally:
        client.close()
    return {
        key.decode(errors="replace").removeprefix(PREFIX): note
        for key, note in found.items()
        if isinstance(note, bytes)
    }
