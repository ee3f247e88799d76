"""L2: answers in Redis, where all workers find them, and where they agree on who asks for one that is not there."""

from importlib.resources import files
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from connectors.errors import UnreachableError
from connectors.redis.client import SETTING, address
from connectors.redis.settings import RedisSettings

PREFIX: Final = "tidegate:answer:"
# To connect, and for each answer. Whoever waits longer is better off without.
TIMEOUT_S: Final = 0.25
CONNECTIONS: Final = 16

_SCRIPT: Final = files("connectors.redis").joinpath("answers.lua").read_text("utf-8")


class Answers:
    """Reads, writes and leases; for one event loop. All methods raise `UnreachableError`: Redis is away, slow or full.

    A lease is a value with an expiry; whoever holds another token can neither renew it nor write over what was found
    under it, which is the fencing that a lock with an expiry needs (Kleppmann, How to do distributed locking, 2016).
    """

    def __init__(self, settings: RedisSettings, *, timeout_s: float = TIMEOUT_S) -> None:
        """Nothing is connected yet.

        Raises:
            UnreachableError: the address cannot be read.

        """
        url = settings.location
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                protocol=2,  # the other one begins with questions of its own
                max_connections=CONNECTIONS,
                timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                socket_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise UnreachableError("Redis", address(url), SETTING, type(error).__name__) from None
        self._redis = Redis.from_pool(pool)
        self._script = self._redis.register_script(_SCRIPT)
        self._where = address(url)

    async def get(self, digest: str) -> bytes | None:
        """Give what is kept under a digest."""
        try:
            found = await self._redis.get(_answer(digest))
        except (RedisError, OSError) as error:
            raise self._away(error) from None
        return found if isinstance(found, bytes) else None

    async def put(self, digest: str, data: bytes, *, ttl_s: float) -> None:
        """Keep it for so many seconds, at the most."""
        try:
            await self._redis.set(_answer(digest), data, px=_ms(ttl_s))
        except (RedisError, OSError) as error:
            raise self._away(error) from None

    async def remove(self, digest: str) -> None:
        """Forget it, if it is there."""
        try:
            await self._redis.delete(_answer(digest))
        except (RedisError, OSError) as error:
            raise self._away(error) from None

    async def claim(self, digest: str, token: str, *, ttl_s: float) -> bytes | bool:
        """Give what is kept; else say whether the lease is this token's now, or somebody else has it."""
        found = await self._run("claim", digest, token, ttl_s)
        return found if isinstance(found, bytes) else found == 1

    async def lead(self, digest: str, token: str, *, ttl_s: float) -> bool:
        """Take the lease, or renew it, whatever is kept; False: somebody else has it."""
        return await self._run("lead", digest, token, ttl_s) == 1

    async def put_led(self, digest: str, token: str, data: bytes, *, ttl_s: float) -> bool:
        """Keep it, unless somebody else leads by now (then what the other finds is what stands)."""
        return await self._run("put", digest, token, ttl_s, data) == 1

    async def release(self, digest: str, token: str) -> None:
        """Give the lease back, if it is still this token's."""
        await self._run("release", digest, token, 1)

    async def size(self) -> tuple[int, int]:
        """Count the answers, and the bytes that Redis needs for all it holds, whoever it belongs to."""
        count = 0
        try:
            async for key in self._redis.scan_iter(match=f"{PREFIX}*", count=1000):
                count += not key.endswith(b":lease")
            memory = await self._redis.info("memory")
        except (RedisError, OSError) as error:
            raise self._away(error) from None
        return count, int(memory["used_memory"])

    async def close(self) -> None:
        """End the connections."""
        await self._redis.aclose(close_connection_pool=True)

    async def _run(self, what: str, digest: str, token: str, ttl_s: float, data: bytes = b"") -> object:
        keys = [_answer(digest), f"{_answer(digest)}:lease"]
        try:
            return await self._script(keys=keys, args=[what, token, _ms(ttl_s), data])
        except (RedisError, OSError) as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> UnreachableError:
        return UnreachableError("Redis", self._where, SETTING, type(error).__name__)


def _answer(digest: str) -> str:
    # Both keys of a digest lie in one slot of a cluster.
    return f"{PREFIX}{{{digest}}}"


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
