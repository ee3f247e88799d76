"""What was said in conversations: a few turns of each, for a day, where all workers find them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from connectors.errors import UnreachableError
from connectors.redis.client import SETTING, address
from connectors.redis.settings import RedisSettings

PREFIX = "tidegate:conversation:"
TIMEOUT_S = 1.0
# How many turns are kept, how long in all, and for how long after the last one.
TURNS, LETTERS = 6, 6_000
KEPT_S = 24 * 3600


class Turn(BaseModel):
    """One question of a conversation, its answer, and the endpoint that gave it; `id` is that of the request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(max_length=64)
    question: str = Field(max_length=LETTERS)
    answer: str = Field(max_length=LETTERS)
    endpoint: str = Field(max_length=256)


@dataclass(frozen=True, slots=True)
class Conversations:
    """Reads and writes; for one event loop. Nothing of one tenant is shown to another."""

    redis: Redis
    where: str

    @classmethod
    def of(cls, settings: RedisSettings) -> "Conversations":
        """Make one; nothing is connected yet."""
        url = settings.location
        return cls(Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S), address(url))

    async def turns(self, tenant: str, conversation: str) -> list[Turn]:
        """Give what was said, the oldest first, as much as fits. What cannot be read was not said.

        Raises:
            UnreachableError: Redis does not answer.

        """
        try:
            written = await self.redis.lrange(_key(tenant, conversation), -TURNS, -1)
        except (RedisError, OSError) as error:
            raise self._away(error) from None
        fitting: list[Turn] = []
        letters = 0
        for turn in reversed(_read(written)):
            letters += len(turn.question) + len(turn.answer)
            if letters > LETTERS:
                break
            fitting.append(turn)
        return fitting[::-1]

    async def add(self, tenant: str, conversation: str, turn: Turn) -> None:
        """Add what was said last.

        Raises:
            UnreachableError: Redis does not answer.

        """
        key = _key(tenant, conversation)
        try:
            async with self.redis.pipeline(transaction=True) as steps:
                steps.execute_command("RPUSH", key, turn.model_dump_json())
                steps.execute_command("LTRIM", key, -TURNS, -1)
                steps.execute_command("EXPIRE", key, KEPT_S)
                await steps.execute()
        except (RedisError, OSError) as error:
            raise self._away(error) from None

    async def close(self) -> None:
        """End the connections."""
        await self.redis.aclose()

    def _away(self, error: Exception) -> UnreachableError:
        return UnreachableError("Redis", self.where, SETTING, type(error).__name__)


def _key(tenant: str, conversation: str) -> str:
    return PREFIX + json.dumps([tenant, conversation])


def _read(written: Sequence[bytes | str]) -> list[Turn]:
    turns = []
    for one in written:
        try:
            turns.append(Turn.model_validate_json(one))
        except ValidationError:
            continue
    return turns
