"""Both MQTT brokers, and what each keeps."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from connectors.embedded import mqtt
from connectors.embedded.server import Server, UnavailableError


def silent(_: str) -> None:
    return None


def client(url: str, client_id: str, *, clean: bool) -> paho.Client:
    made = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, protocol=MQTTProtocolVersion.MQTTv311
    )
    host, port = url.removeprefix("mqtt://").split(":")
    made.connect(host, int(port))
    return made


def loop_until(one: paho.Client, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        one.loop(0.05)


def subscribe_and_leave(url: str) -> None:
    keeper = client(url, "keeper", clean=False)
    subscribed: list[object] = []
    keeper.on_connect = lambda it, *_: it.subscribe("devices/+/readings", qos=1)
    keeper.on_subscribe = lambda *_: subscribed.append(None)
    loop_until(keeper, lambda: bool(subscribed))
    keeper.disconnect()


def publish(url: str, count: int) -> None:
    device = client(url, "device", clean=True)
    device.max_inflight_messages_set(100)
    acknowledged: list[object] = []
    device.on_publish = lambda *_: acknowledged.append(None)
    loop_until(device, device.is_connected)
    for number in range(count):
        device.publish("devices/d/readings", str(number), qos=1)
    loop_until(device, lambda: len(acknowledged) == count)
    device.disconnect()


def receive(url: str, count: int) -> list[int]:
    keeper = client(url, "keeper", clean=False)
    numbers: list[int] = []
    keeper.on_message = lambda _, __, message: numbers.append(int(message.payload))
    loop_until(keeper, lambda: len(numbers) >= count)
    keeper.disconnect()
    return numbers


@pytest.fixture
def mosquitto(tmp_path: Path) -> Server:
    try:
        return mqtt._mosquitto(tmp_path, silent)  # noqa: SLF001 - this broker, whatever the order of choices
    except UnavailableError as error:
        pytest.skip(str(error))


def test_mosquitto_drops_nothing_for_an_absent_subscriber_and_keeps_it_over_a_restart(
    tmp_path: Path, mosquitto: Server
) -> None:
    count = 3000  # three times what it keeps by default
    subscribe_and_leave(mosquitto.address)
    publish(mosquitto.address, count)
    mosquitto.stop()
    again = mqtt._mosquitto(tmp_path, silent)  # noqa: SLF001 - this broker, whatever the order of choices
    try:
        assert again.address == mosquitto.address
        assert receive(again.address, count) == list(range(count))
    finally:
        again.stop()


def test_mosquitto_killed_has_what_it_saved_a_second_ago(tmp_path: Path, mosquitto: Server) -> None:
    subscribe_and_leave(mosquitto.address)
    publish(mosquitto.address, 100)
    database = tmp_path / "mosquitto.db"
    since = time.time_ns()
    deadline = time.monotonic() + 10
    while not (database.exists() and database.stat().st_mtime_ns > since):  # one save that began after the last message
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (leash,) = [one for one in psutil.Process().children() if "leash.py" in " ".join(one.cmdline())]
    (server,) = leash.children()
    os.kill(server.pid, signal.SIGKILL)
    mosquitto.stop()
    again = mqtt._mosquitto(tmp_path, silent)  # noqa: SLF001 - this broker, whatever the order of choices
    try:
        assert receive(again.address, 100) == list(range(100))
    finally:
        again.stop()


def test_mosquitto_listens_on_loopback_alone(mosquitto: Server) -> None:
    port = int(mosquitto.address.rsplit(":", 1)[1])
    (leash,) = [one for one in psutil.Process().children() if "leash.py" in " ".join(one.cmdline())]
    listening = [
        one.laddr for child in leash.children() for one in child.net_connections("inet") if one.status == "LISTEN"
    ]
    mosquitto.stop()
    assert listening == [("127.0.0.1", port)]


def test_amqtt_is_taken_where_there_is_no_mosquitto_and_queues_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mqtt, "SYSTEM_PLACES", ())
    said: list[str] = []
    server = mqtt.start(tmp_path / "mqtt", said.append)
    try:
        assert server.kind == mqtt.AMQTT
        assert "mosquitto is not installed" in server.how
        assert any("in memory only" in line for line in said)
        subscribe_and_leave(server.address)
        publish(server.address, 200)
        assert sorted(receive(server.address, 200)) == list(range(200))
    finally:
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server.address.rsplit(":", 1)[1])), timeout=1)


@pytest.mark.mqtt
def test_the_suites_own_broker_answers(mqtt_server: Server) -> None:
    assert client(mqtt_server.address, "", clean=True).disconnect() == paho.MQTT_ERR_SUCCESS
