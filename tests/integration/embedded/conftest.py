"""What the tests of the embedded servers share."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

KEEPER = "keeper"


Connect = Callable[..., paho.Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make MQTT clients that are closed at the end."""
    made: list[paho.Client] = []

    def connected(url: str, client_id: str, *, clean: bool, seen: list[int] | None = None) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, protocol=MQTTProtocolVersion.MQTTv311
        )
        made.append(client)
        if seen is not None:  # set before connecting: a broker sends what waited at once
            client.on_message = lambda _, __, message: seen.append(int(message.payload))
        client.max_inflight_messages_set(100)
        host, port = url.removeprefix("mqtt://").split(":")
        client.connect(host, int(port))
        loop_until(client, client.is_connected)
        return client

    yield connected
    for client in made:
        client.reinitialise()  # closes what `disconnect` leaves open


def loop_until(client: paho.Client, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        client.loop(0.05)


@pytest.fixture
def subscribe_and_leave(connect: Connect) -> Callable[[str], None]:
    """Leave a persistent session with a subscription at the broker of an address."""

    def subscribe(url: str) -> None:
        keeper = connect(url, KEEPER, clean=False)
        subscribed: list[object] = []
        keeper.on_subscribe = lambda *_: subscribed.append(None)
        keeper.subscribe("devices/+/readings", qos=1)
        loop_until(keeper, lambda: bool(subscribed))
        keeper.disconnect()

    return subscribe


@pytest.fixture
def publish(connect: Connect) -> Callable[[str, range], None]:
    """Publish numbers with QoS 1 and return when the broker has acknowledged all of them."""

    def published(url: str, numbers: range) -> None:
        device = connect(url, "device", clean=True)
        acknowledged: list[object] = []
        device.on_publish = lambda *_: acknowledged.append(None)
        for number in numbers:
            device.publish("devices/d/readings", str(number), qos=1)
        loop_until(device, lambda: len(acknowledged) == len(numbers))
        device.disconnect()

    return published


@pytest.fixture
def receive(connect: Connect) -> Callable[[str, int], list[int]]:
    """Take so many of the numbers that waited for the persistent session."""

    def received(url: str, count: int) -> list[int]:
        numbers: list[int] = []
        keeper = connect(url, KEEPER, clean=False, seen=numbers)
        loop_until(keeper, lambda: len(numbers) >= count)
        keeper.disconnect()
        return numbers

    return received


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an unprivileged account reaches too: pytest's own is private."""
    made = Path(tempfile.mkdtemp(prefix="tidegate-embedded-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def all_gone() -> Callable[[list[psutil.Process]], bool]:
    """Say whether processes end in time; one that only waits to be asked how it ended has ended."""

    def ended(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def ask(processes: list[psutil.Process], within_s: float = 10.0) -> bool:
        deadline = time.monotonic() + within_s
        while not all(ended(process) for process in processes):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    return ask
