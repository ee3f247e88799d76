import asyncio
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from connectors.errors import ConnectorError, PortTakenError
from connectors.http.serve import _listen, serve


def _get(url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        return int(response.status)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_gives_the_caller_back_its_process(number: signal.Signals) -> None:
    events: list[object] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        events.append("open")
        yield
        events.append("closed")

    app = FastAPI(lifespan=lifespan)

    @app.get("/here")
    async def here() -> str:
        return "yes"

    def ask(url: str) -> None:
        events.append(_get(url + "/here"))
        os.kill(os.getpid(), number)

    threads: list[threading.Thread] = []

    def on_ready(url: str) -> None:
        threads.append(threading.Thread(target=ask, args=(url,)))
        threads[0].start()

    before = signal.getsignal(number)
    serve(app, "127.0.0.1", 0, on_ready)
    threads[0].join()
    assert events == ["open", 200, "closed"]
    assert signal.getsignal(number) is before


def test_a_request_that_hangs_does_not_hold_up_the_end() -> None:
    app = FastAPI()
    asked = threading.Event()
    stop = threading.Event()

    @app.get("/hang")
    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    clients: list[socket.socket] = []

    def end_when_asked() -> None:
        asked.wait(10)
        stop.set()

    def on_ready(url: str) -> None:
        port = int(url.rpartition(":")[2])
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(client)
        threading.Thread(target=end_when_asked).start()

    ended = threading.Thread(target=serve, args=(app, "127.0.0.1", 0, on_ready, stop), daemon=True)
    ended.start()
    ended.join(15)
    assert not ended.is_alive()
    clients[0].close()


def test_a_taken_port_is_said_with_the_setting_that_chooses_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            PortTakenError, match=rf"The gateway cannot listen on 127\.0\.0\.1:{port}.*TIDEGATE_HTTP__PORT"
        ):
            serve(FastAPI(), "127.0.0.1", port, lambda _url: None)


def test_an_address_of_another_machine_is_said_too() -> None:
    with pytest.raises(ConnectorError, match="TIDEGATE_HTTP__HOST"):
        serve(FastAPI(), "192.0.2.1", 0, lambda _url: None)


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
def test_the_url_can_be_opened(host: str, shown: str) -> None:
    stop = threading.Event()
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        stop.set()

    serve(FastAPI(), host, 0, on_ready, stop)
    scheme, _, rest = urls[0].partition("://")
    name, _, port = rest.rpartition(":")
    assert (scheme, name) == ("http", shown)
    assert int(port) > 0


async def test_what_is_accepted_sends_small_parts_at_once() -> None:
    without_delay: list[bool] = []

    async def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = writer.get_extra_info("socket")
        without_delay.append(bool(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    with _listen("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(accepted, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()
            await writer.wait_closed()
    assert without_delay == [True]
