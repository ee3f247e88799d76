"""The ways to Valkey or Redis."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from connectors.embedded import valkey
from connectors.embedded.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = valkey._from_wheel(tmp_path, lambda _: None)  # noqa: SLF001 - this way, whatever the order of choices
    yield started
    started.stop()


def test_what_was_written_outlives_a_kill_of_the_server(tmp_path: Path, server: Server) -> None:
    with redis.Redis.from_url(server.address) as client:
        client.set("kept", "1")
        process = psutil.Process(int(client.info("server")["process_id"]))
        assert client.config_get("bind") == {b"bind": b"127.0.0.1"} or client.config_get("bind") == {
            "bind": "127.0.0.1"
        }
    process.kill()
    process.wait(5)
    server.stop()
    assert not server.alive
    again = valkey._from_wheel(tmp_path, lambda _: None)  # noqa: SLF001 - the same
    try:
        assert again.address == server.address
        with redis.Redis.from_url(again.address) as client:
            assert client.get("kept") == b"1"
    finally:
        again.stop()


@pytest.mark.redis
def test_the_suites_own_server_answers(valkey_server: Server) -> None:
    with redis.Redis.from_url(valkey_server.address) as client:
        assert client.ping()
