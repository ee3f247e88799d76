"""One attempt at a message, against a server on a real socket."""

import asyncio
import base64
import contextlib
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook as Reference

from connectors.clock import SystemClock
from connectors.embedded import ports
from connectors.webhooks.message import of_test
from connectors.webhooks.sender import LONGEST_PAUSE_S, Outcome, Sender
from connectors.webhooks.settings import Webhook
from tests.fakes.receiver import receiver

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def hook(url: str, **changes: object) -> Webhook:
    return Webhook.model_validate({"name": "on-call", "url": url, "secret": SECRET, **changes})


async def send(url: str, **changes: object) -> Outcome:
    async with Sender(hook(url, **changes), SystemClock()) as sender:
        return await sender.send("m-1", of_test(datetime.now(UTC)))


async def test_a_message_arrives_signed() -> None:
    with receiver() as server:
        assert await send(server.url) == Outcome()
    (told,) = server.told
    assert told.path == "/hook?token=hush"
    assert told.headers["content-type"] == "application/json"
    assert Reference(SECRET).verify(told.body, told.headers)["type"] == "test"


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Outcome()),
        (500, {}, Outcome("it answered 500")),
        (410, {}, Outcome("it answered 410", is_final=True)),
        (429, {"retry-after": "7"}, Outcome("it answered 429", pause_s=7.0)),
        (503, {"retry-after": "1e9"}, Outcome("it answered 503", pause_s=LONGEST_PAUSE_S)),
        (503, {"retry-after": "-1"}, Outcome("it answered 503")),
        (503, {"retry-after": "nan"}, Outcome("it answered 503")),
        (503, {"retry-after": "Fri, 27 Nov 2026 17:00:00 GMT"}, Outcome("it answered 503")),
    ],
)
async def test_what_became_of_it(status: int, headers: dict[str, str], expected: Outcome) -> None:
    with receiver() as server:
        server.answers, server.headers = [status], headers
        assert await send(server.url) == expected


async def test_a_redirection_is_not_followed() -> None:
    with receiver() as server, receiver() as elsewhere:
        server.answers, server.headers = [307], {"location": elsewhere.url}
        assert await send(server.url) == Outcome("it answered 307")
    assert elsewhere.told == []


async def test_who_does_not_answer_is_given_up() -> None:
    with receiver() as server:
        server.answering.clear()
        assert await send(server.url, timeout_s=0.1) == Outcome("no answer within 0.1 s")


async def test_who_answers_letter_by_letter_is_given_up() -> None:
    ended = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            for _ in range(100):
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await asyncio.wait_for(send(f"http://127.0.0.1:{port}/", timeout_s=0.2), 3)
        await ended.wait()
    assert outcome == Outcome("no answer within 0.2 s")


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "nowhere.invalid"])
async def test_who_is_not_there_is_said_without_the_address(host: str) -> None:
    outcome = await send(f"http://{host.format(port=ports.free())}/?token=hush")
    assert outcome == Outcome("it cannot be reached (ConnectError)")
