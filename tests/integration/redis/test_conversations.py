"""Conversations are short, forgotten after a while, and nobody else's."""

import uuid
from collections.abc import AsyncIterator

import pytest
import redis
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.errors import UnreachableError
from connectors.redis.conversations import KEPT_S, LETTERS, PREFIX, TURNS, Conversations, Turn
from connectors.redis.settings import RedisSettings

pytestmark = pytest.mark.redis


@pytest.fixture
async def conversations(valkey_server: Server) -> AsyncIterator[Conversations]:
    made = Conversations.of(RedisSettings(url=SecretStr(valkey_server.address)))
    yield made
    await made.close()


@pytest.fixture
def conversation() -> str:
    return uuid.uuid4().hex


def turn(number: int, letters: int = 10) -> Turn:
    return Turn(id=str(number), question="q" * letters, answer="a" * letters, endpoint="one")


async def test_the_last_turns_are_kept_for_a_day(
    conversations: Conversations, conversation: str, valkey_server: Server
) -> None:
    assert await conversations.turns("acme", conversation) == []
    for number in range(TURNS + 3):
        await conversations.add("acme", conversation, turn(number))
    assert await conversations.turns("acme", conversation) == [turn(number) for number in range(3, TURNS + 3)]
    with redis.Redis.from_url(valkey_server.address) as client:
        (key,) = client.scan_iter(f"{PREFIX}*{conversation}*")
        assert client.llen(key) == TURNS
        assert 0 < client.ttl(key) <= KEPT_S


async def test_what_is_too_long_is_left_out_from_the_start(conversations: Conversations, conversation: str) -> None:
    long = LETTERS // 5
    for number in range(4):
        await conversations.add("acme", conversation, turn(number, long))
    assert [one.id for one in await conversations.turns("acme", conversation)] == ["2", "3"]


async def test_nobody_else_sees_it(conversations: Conversations, conversation: str) -> None:
    await conversations.add("acme", conversation, turn(1))
    assert await conversations.turns("rival", conversation) == []
    # Whatever the names are made of.
    await conversations.add('a", "b', "c", turn(1))
    assert await conversations.turns("a", 'b", "c') == []


async def test_what_is_no_turn_was_not_said(
    conversations: Conversations, conversation: str, valkey_server: Server
) -> None:
    await conversations.add("acme", conversation, turn(1))
    with redis.Redis.from_url(valkey_server.address) as client:
        (key,) = client.scan_iter(f"{PREFIX}*{conversation}*")
        client.rpush(key, b"\xff", b"{}", b'{"id": "2", "question": "q", "answer": 5, "endpoint": "e"}')
    await conversations.add("acme", conversation, turn(3))
    assert [one.id for one in await conversations.turns("acme", conversation)] == ["1", "3"]


async def test_without_redis_that_is_said() -> None:
    away = Conversations.of(RedisSettings(url=SecretStr("redis://user:secret@127.0.0.1:9/0")))
    for asked in (away.turns("acme", "c"), away.add("acme", "c", turn(1))):
        with pytest.raises(UnreachableError) as error:
            await asked
        assert "secret" not in str(error.value)
    await away.close()
