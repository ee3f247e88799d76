"""Running the gateway: its own listening socket, its own signals, and an end within seconds."""

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from connectors.errors import ConnectorError, PortTakenError

# How long requests that are being answered when the end comes may still take.
GRACE_S = 3
BACKLOG = 512
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # not bound here: shown as an address that can be opened

OnReady = Callable[[str], None]


def serve(app: FastAPI, host: str, port: int, on_ready: OnReady, stop: threading.Event | None = None) -> None:
    """Serve until SIGTERM or SIGINT (where this is the main thread), or until `stop` is set; then return.

    `on_ready` gets the URL once it answers; port 0 takes a free one.

    Raises:
        PortTakenError: another program listens there.
        ConnectorError: the address cannot be listened on for another reason.

    """
    with _listen(host, port) as listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_S,
        )
        server = _Server(config, lambda: on_ready(_url(host, listener)), stop or threading.Event())
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """A uvicorn that says when it is ready, ends when told to, and leaves the end of the process to its caller."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], stop: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._stop = stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and do not raise it again at the end, as uvicorn does: the caller still has to tidy up."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # Of a socket that does not say that it is TCP, asyncio does not send small parts at once: each answer in two parts
    # then waits 40 ms for the client's acknowledgement of the first (Nagle's algorithm against delayed ACKs).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError("The gateway", where, "TIDEGATE_HTTP__PORT") from error
        raise ConnectorError(
            f"The gateway cannot listen on {where} ({error.strerror}). Its address is TIDEGATE_HTTP__HOST and"
            " TIDEGATE_HTTP__PORT."
        ) from error
    return listener


def _url(host: str, listener: socket.socket) -> str:
    name = WILDCARDS.get(host, host)
    return (
        f"http://[{name}]:{listener.getsockname()[1]}" if ":" in name else f"http://{name}:{listener.getsockname()[1]}"
    )
