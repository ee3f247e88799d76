"""The proxy passes, cuts, slows down and swallows."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from connectors.embedded import ports
from connectors.embedded import proxy as proxy_module
from connectors.embedded.proxy import Mode, Proxies, Proxy

WAIT_S = 10.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that gives back what it gets."""
    listener = socket.create_server((ports.LOOPBACK, 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1000):
                    connection.sendall(data)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxies() as proxies:
        yield proxies.to(ports.LOOPBACK, echo)


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection((ports.LOOPBACK, proxy.port), timeout=WAIT_S)


def answered(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(1000)


def test_it_passes(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        assert answered(connection, b"one") == b"one"
        assert answered(connection, b"two") == b"two"


def test_the_end_of_one_side_is_the_end_of_the_other(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b"last"
        assert connection.recv(1000) == b""


def test_cut_resets_what_stands_and_refuses_what_comes(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        assert answered(connection, b"one") == b"one"
        proxy.turn(Mode.CUT)
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    proxy.turn(Mode.PASS)
    with connected(proxy) as connection:
        assert answered(connection, b"two") == b"two"


def test_a_black_hole_accepts_and_delivers_nothing_before_it_has_passed(proxy: Proxy) -> None:
    with connected(proxy) as before:
        assert answered(before, b"one") == b"one"
        proxy.turn(Mode.BLACK_HOLE)
        with connected(proxy) as new:
            for connection in (before, new):
                connection.sendall(b"two")
                connection.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    connection.recv(1000)
            proxy.turn(Mode.PASS)
            for connection in (before, new):
                connection.settimeout(WAIT_S)
                assert connection.recv(1000) == b"two"


def test_slow_waits_with_each_piece_for_as_long_as_its_bytes_take(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    proxy.turn(Mode.SLOW)
    with connected(proxy) as connection:
        assert answered(connection, b"x" * 256) == b"x" * 256
    assert waited == [proxy_module.LATENCY_S + 256 / proxy_module.BYTES_A_SECOND] * 2


def test_a_server_that_is_away_ends_the_connection(echo: int) -> None:
    free = ports.free()
    assert free != echo
    with Proxies() as proxies, connected(proxies.to(ports.LOOPBACK, free)) as connection:
        assert connection.recv(1000) == b""
