"""Brokers of both kinds that stop and start, a wire to listen at and to cut, a producer whose reports can be held."""

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from connectors.errors import SlowDownError
from connectors.mqtt.bridge import Bridge
from connectors.mqtt.settings import MqttSettings
from schemas import codec
from schemas.models import DeadLetter, Reading

Delivery = Callable[[Exception | None], None]
Until = Callable[..., None]
Start = Callable[..., "Running"]
StartMosquitto = Callable[..., "Broker"]


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come about"
        time.sleep(0.005)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Broker:
    """A broker in a process of its own, on one port for life."""

    def __init__(self, kind: str, folder: Path, extra: str = "") -> None:
        self.kind = kind
        self.port = free_port()
        self._config = folder / f"{kind}.conf"
        self._log = folder / f"{kind}.log"
        if kind == "mosquitto":
            self._config.write_text(
                f"listener {self.port} 127.0.0.1\npersistence true\npersistence_location {folder}/\n"
                f"autosave_interval 1\nmax_queued_messages 0\nmax_inflight_messages 0\nuser root\n"
                f"{extra or 'allow_anonymous true'}\n"
            )
            self._command = [mosquitto() or "", "-c", str(self._config)]
        else:
            self._command = [sys.executable, "-m", "connectors.embedded.amqtt_broker", str(self.port)]
        self.start()

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def version(self) -> Literal["auto", "3.1.1"]:
        """What it speaks, where finding out takes two seconds: test_client has a test of that."""
        return "3.1.1" if self.kind == "amqtt" else "auto"

    def settings(self, address: str = "") -> MqttSettings:
        """Give settings for it, or for something at `address` that leads to it."""
        return MqttSettings(url=address or self.address, version=self.version)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)  # noqa: S603  # our own command
        wait_until(self._answers)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[Callable[[str], Broker]]:
    if mosquitto() is None:
        pytest.skip("no mosquitto on this machine")
    started: list[Broker] = []

    def start(extra: str = "") -> Broker:
        started.append(Broker("mosquitto", tmp_path, extra))
        return started[-1]

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    if request.param == "mosquitto" and mosquitto() is None:
        pytest.skip("no mosquitto on this machine")
    running = Broker(request.param, tmp_path)
    yield running
    running.stop()


class Wire:
    """A proxy before a broker that can be cut or frozen, and notes packet ids: `published` to the client, `acks` of it.

    Both are kept per connection, in order of opening.
    """

    def __init__(self, port: int) -> None:
        self.acks: list[list[int]] = []
        self.published: list[list[int]] = []
        self._to = port
        self._flow = threading.Event()
        self._flow.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"

    def cut(self) -> None:
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        self._flow.clear()

    def thaw(self) -> None:
        self._flow.set()

    def close(self) -> None:
        self.thaw()
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self._to), 5)
                except OSError:
                    client.close()
                    continue
                broker.settimeout(None)
                self._pairs.append((client, broker))
                self.acks.append([])
                self.published.append([])
                for source, sink, note in (
                    (client, broker, Notes(puback=self.acks[-1])),
                    (broker, client, Notes(publish=self.published[-1])),
                ):
                    threading.Thread(target=self._pump, args=(source, sink, note), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, notes: "Notes") -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flow.wait()
                notes.feed(data)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Notes:
    """Reads MQTT packets from a stream as far as their packet ids."""

    def __init__(self, puback: list[int] | None = None, publish: list[int] | None = None) -> None:
        self._puback = puback
        self._publish = publish
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data += data
        while (packet := self._next()) is not None:
            head, body = packet
            if head >> 4 == 4 and self._puback is not None:
                self._puback.append(int.from_bytes(body[:2]))
            if head >> 4 == 3 and head & 6 and self._publish is not None:
                at = 2 + int.from_bytes(body[:2])
                self._publish.append(int.from_bytes(body[at : at + 2]))

    def _next(self) -> tuple[int, bytes] | None:
        length = shift = 0
        for at in range(1, len(self._data)):
            length |= (self._data[at] & 127) << shift
            shift += 7
            if self._data[at] < 128:
                if len(self._data) <= at + length:
                    return None
                head, body = self._data[0], self._data[at + 1 : at + 1 + length]
                self._data = self._data[at + 1 + length :]
                return head, body
        return None


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    proxy = Wire(broker.port)
    yield proxy
    proxy.close()


class Kafka:
    """A producer whose delivery reports come from a thread of its own: at once, or when they are let go."""

    def __init__(self) -> None:
        self.capacity = 10**9
        self.taken: list[tuple[str, bytes | None, bytes]] = []
        self.held: deque[tuple[int, Delivery]] = deque()
        self.holding = False
        self.refuse: Callable[[int], bool] = lambda _: False
        self.confirmed: list[int] = []
        self._lock = threading.Lock()

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        *,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: Delivery,
    ) -> None:
        assert headers is None
        with self._lock:
            if len(self.held) >= self.capacity:
                raise SlowDownError
            self.taken.append((topic, key, value))
            self.held.append((len(self.taken) - 1, on_delivery))
        if not self.holding:
            self.release()

    def release(self, order: Callable[[list[tuple[int, Delivery]]], list[tuple[int, Delivery]]] = list) -> None:
        """Report what is held, from another thread, in the order that `order` gives; what it leaves out stays held."""
        with self._lock:
            every = list(self.held)
            going = order(every)
            self.held = deque(pair for pair in every if pair not in going)
        thread = threading.Thread(target=self._report, args=(going,))
        thread.start()
        thread.join()

    def _report(self, going: list[tuple[int, Delivery]]) -> None:
        for index, on_delivery in going:
            if self.refuse(index):
                on_delivery(OSError("no broker takes it"))
            else:
                self.confirmed.append(index)
                on_delivery(None)

    def readings(self) -> list[Reading]:
        """What Kafka has, in its order: that of sending, however the reports came."""
        return [
            codec.decode(self.taken[at][2], Reading) for at in sorted(self.confirmed) if self.taken[at][0] == "readings"
        ]

    def dead_letters(self) -> list[DeadLetter]:
        found = [self.taken[at] for at in sorted(self.confirmed)]
        return [codec.decode(value, DeadLetter) for topic, _, value in found if topic == "dead-letters"]


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


class Running:
    """A bridge on a thread; `error` is what `run` raised."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.bridge.run()
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.error = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        self.bridge.stop()
        self._thread.join(20)
        assert self.ended


@pytest.fixture
def start(until: Callable[..., None], request: pytest.FixtureRequest) -> Iterator[Callable[..., Running]]:
    """Start bridges, wait for their subscription, stop them at the end."""
    started: list[Running] = []
    broker = request.getfixturevalue("broker") if "broker" in request.fixturenames else None

    def begin(address: str, producer: Kafka, *, wait: bool = True, **settings: object) -> Running:
        options = {name: settings.pop(name) for name in ("drain_s", "region") if name in settings}
        options.setdefault("drain_s", 2.0)
        if broker is not None:
            settings.setdefault("version", broker.version)
        chosen = MqttSettings.model_validate({"url": address, **settings})
        running = Running(Bridge(chosen, producer, **options))  # type: ignore[arg-type]  # the tests give the right kinds
        started.append(running)
        if wait:
            until(lambda: running.bridge.connected or running.ended)
        return running

    yield begin
    for running in started:
        running.stop()
