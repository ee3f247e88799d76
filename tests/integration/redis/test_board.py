"""What workers tell of themselves is there while they are."""

import pytest
import redis
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.errors import UnreachableError
from connectors.redis.board import KEPT_S, LONGEST, PREFIX, Board, notes
from connectors.redis.settings import RedisSettings

pytestmark = pytest.mark.redis


@pytest.fixture
def settings(valkey_server: Server) -> RedisSettings:
    with redis.Redis.from_url(valkey_server.address) as client:
        for key in client.scan_iter(f"{PREFIX}*"):
            client.delete(key)
    return RedisSettings(url=SecretStr(valkey_server.address))


async def test_notes_are_up_until_their_workers_end(settings: RedisSettings, valkey_server: Server) -> None:
    one, two = Board(settings, worker="one"), Board(settings, worker="two")
    await one.tell(b"first")
    await one.tell(b"second")
    await two.tell(b"x" * (LONGEST + 5))
    found = notes(settings)
    assert found["one"] == b"second"
    assert set(found) == {"one", "two"}
    assert len(found["two"]) == LONGEST + 1
    with redis.Redis.from_url(valkey_server.address) as client:
        assert 0 < client.ttl(f"{PREFIX}one") <= KEPT_S, "who dies is forgotten"
    await one.close()
    assert set(notes(settings)) == {"two"}
    await two.close()


async def test_without_redis_that_is_said_and_ends_quietly() -> None:
    away = RedisSettings(url=SecretStr("redis://user:secret@127.0.0.1:9/0"))
    board = Board(away, worker="one")
    with pytest.raises(UnreachableError) as error:
        await board.tell(b"note")
    assert "secret" not in str(error.value)
    await board.close()
    with pytest.raises(UnreachableError):
        notes(away)
