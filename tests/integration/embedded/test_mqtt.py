"""Both MQTT brokers, and what each keeps."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from connectors.embedded import mqtt
from connectors.embedded.server import Server, UnavailableError

# What the fixtures of conftest.py are.
Subscribe = Callable[[str], None]
Publish = Callable[[str, range], None]
Receive = Callable[[str, int], list[int]]


def silent(_: str) -> None:
    return None


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Server]:
    try:
        server = mqtt._mosquitto(tmp_path, silent)  # noqa: SLF001 - this broker, whatever the order of choices
    except UnavailableError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


def process_of(folder: Path) -> psutil.Process:
    """Find mosquitto among our leashes' children, by its folder."""
    (server,) = [
        child for leash in psutil.Process().children() for child in leash.children() if child.cwd() == str(folder)
    ]
    return server


def test_mosquitto_drops_nothing_for_an_absent_subscriber_and_keeps_it_over_a_restart(
    tmp_path: Path,
    mosquitto: Server,
    subscribe_and_leave: Subscribe,
    publish: Publish,
    receive: Receive,
) -> None:
    count = 3000  # three times what it keeps by default
    subscribe_and_leave(mosquitto.address)
    publish(mosquitto.address, range(count))
    mosquitto.stop()
    again = mqtt._mosquitto(tmp_path, silent)  # noqa: SLF001 - this broker, whatever the order of choices
    try:
        assert again.address == mosquitto.address
        assert receive(again.address, count) == list(range(count))
    finally:
        again.stop()


def test_mosquitto_killed_has_what_it_saved_a_second_ago(
    tmp_path: Path,
    mosquitto: Server,
    subscribe_and_leave: Subscribe,
    publish: Publish,
    receive: Receive,
) -> None:
    subscribe_and_leave(mosquitto.address)
    publish(mosquitto.address, range(100))
    database = tmp_path / "mosquitto.db"
    since = time.time_ns()
    deadline = time.monotonic() + 10
    while not (database.exists() and database.stat().st_mtime_ns > since):  # one save that began after the last message
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process_of(tmp_path).kill()
    mosquitto.stop()
    again = mqtt._mosquitto(tmp_path, silent)  # noqa: SLF001 - this broker, whatever the order of choices
    try:
        assert receive(again.address, 100) == list(range(100))
    finally:
        again.stop()


def test_mosquitto_listens_on_loopback_alone(tmp_path: Path, mosquitto: Server) -> None:
    port = int(mosquitto.address.rsplit(":", 1)[1])
    sockets = process_of(tmp_path).net_connections("inet")
    assert [one.laddr for one in sockets if one.status == psutil.CONN_LISTEN] == [("127.0.0.1", port)]


def test_amqtt_is_taken_where_there_is_no_mosquitto_and_queues_while_it_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    subscribe_and_leave: Subscribe,
    publish: Publish,
    receive: Receive,
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
        publish(server.address, range(200))
        assert sorted(receive(server.address, 200)) == list(range(200))
    finally:
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server.address.rsplit(":", 1)[1])), timeout=1)


@pytest.mark.mqtt
def test_the_suites_own_broker_answers(mqtt_server: Server, subscribe_and_leave: Subscribe) -> None:
    subscribe_and_leave(mqtt_server.address)
