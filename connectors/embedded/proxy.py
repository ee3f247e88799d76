"""A TCP proxy whose link can be cut, slowed down, or swallow everything: between a server and those who use it."""

import asyncio
import contextlib
import socket
import struct
import threading
from enum import StrEnum
from types import TracebackType
from typing import Self

from connectors.embedded import ports

CHUNK = 64 * 1024
# The slow link.
LATENCY_S = 0.1
BYTES_A_SECOND = 256 * 1024
OPEN_WITHIN_S = 10.0
NO_LINGER = struct.pack("ii", 1, 0)


class Mode(StrEnum):
    """What becomes of connections and of what goes through them."""

    PASS = "pass"  # noqa: S105  # no password
    CUT = "cut"  # those that stand are reset, new ones are refused
    SLOW = "slow"
    BLACK_HOLE = "black hole"  # new ones are accepted, and nothing is delivered until the mode changes


class Proxy:
    """One listening port in front of one server. `turn` may be called from any thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, target: tuple[str, int], at: tuple[str, int] | None = None
    ) -> None:
        """Nothing listens before `turn` was called once. `at`: where it is to; else on a free port."""
        self.target = target
        self.host, self.port = at or (ports.LOOPBACK, ports.free())
        self.mode = Mode.CUT
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def turn(self, mode: Mode) -> None:
        """Change the mode, and return when it holds."""
        asyncio.run_coroutine_threadsafe(self._turn(mode), self._loop).result(OPEN_WITHIN_S)

    async def _turn(self, mode: Mode) -> None:
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.CUT:
            if self._server is not None:
                self._server.close()
                self._server = None
            for writer in self._writers:
                _reset(writer)
        elif self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._delivering()
            there, onward = await asyncio.open_connection(*self.target)
        except OSError:
            self._drop(writer)
            return
        self._writers.add(onward)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, onward))
                both.create_task(self._pump(there, writer))
        except* OSError:
            pass  # one of the two has gone: so does the other
        finally:
            await self._delivering()  # who hears nothing does not hear of an end, either
            self._drop(writer)
            self._drop(onward)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            if self.mode is Mode.SLOW:
                await asyncio.sleep(LATENCY_S + len(data) / BYTES_A_SECOND)
            await self._delivering()
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError, RuntimeError):
            sink.write_eof()

    async def _delivering(self) -> None:
        while self.mode is Mode.BLACK_HOLE:
            await self._changed.wait()

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()  # what is buffered still goes out


class Proxies:
    """The event loop, on a thread of its own, that all proxies share."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._all: list[Proxy] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for proxy in self._all:
            proxy.turn(Mode.CUT)
        asyncio.run_coroutine_threadsafe(_end(), self._loop).result(OPEN_WITHIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def to(self, host: str, port: int, at: tuple[str, int] | None = None) -> Proxy:
        """Put a proxy in front of a server, perhaps at a given place; it passes everything at first."""
        proxy = Proxy(self._loop, (host, port), at)
        self._all.append(proxy)
        proxy.turn(Mode.PASS)
        return proxy


def _reset(writer: asyncio.StreamWriter) -> None:
    """Let the other side see a reset, not an end."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


async def _end() -> None:
    """End whatever still runs on the loop."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
