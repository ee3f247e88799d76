"""Getting connected, and being told in time and in plain words why not."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.errors import UnreachableError
from connectors.mqtt.client import Connection
from connectors.mqtt.errors import RefusedError, TakenOverError
from connectors.mqtt.publisher import Publisher
from connectors.mqtt.settings import MqttSettings
from tests.integration.mqtt.conftest import Broker, Kafka, Start, StartMosquitto, Until

pytestmark = pytest.mark.mqtt

CONNACK_5 = b"\x20\x03\x00\x00\x00"
SUBACK_REFUSES = b"\x90\x04\x00\x01\x00\x87"
DISCONNECT_TAKEN_OVER = b"\xe0\x02\x8e\x00"


@contextmanager
def scripted(*answers: bytes) -> Iterator[str]:
    """A server that answers each thing it is sent with the next bytes, then says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                for answer in answers:
                    connection.recv(1024)
                    connection.sendall(answer)
                while connection.recv(1024):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}"


def opened(address: str, **settings: object) -> Connection:
    chosen = MqttSettings.model_validate({"url": address, "connect_timeout_s": 1.0, **settings})
    connection = Connection(chosen, "test", session=True)
    try:
        connection.open()
    except BaseException:
        connection.close()
        raise
    return connection


def turn_until_it_ends(connection: Connection) -> None:
    try:
        for _ in range(100):
            connection.turn(0.1)
    finally:
        connection.close()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=f"mqtt://127.0.0.1:{port}.*refused.*TIDEGATE_MQTT__URL"):
        opened(f"mqtt://127.0.0.1:{port}")
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("version", ["auto", "5", "3.1.1"])
def test_somebody_listens_and_says_nothing(version: str) -> None:
    with scripted() as address:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer as an MQTT broker"):
            opened(address, version=version)
        assert time.monotonic() - began < 2.0


def test_somebody_listens_who_is_no_broker() -> None:
    with scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address, pytest.raises(UnreachableError):
        opened(address, version="5")


def test_the_version_is_found(broker: Broker) -> None:
    connection = opened(broker.address, connect_timeout_s=5.0)
    connection.close()
    assert int(connection.protocol) == (5 if broker.kind == "mosquitto" else 4)


def test_a_broker_that_says_that_another_took_over_is_believed() -> None:
    with scripted(CONNACK_5, DISCONNECT_TAKEN_OVER) as address:
        connection = opened(address)
        connection.subscribe("devices/+/readings")
        with pytest.raises(TakenOverError):
            turn_until_it_ends(connection)


def test_a_refused_subscription_is_told() -> None:
    with scripted(CONNACK_5, SUBACK_REFUSES) as address:
        connection = opened(address)
        connection.subscribe("devices/+/readings")
        with pytest.raises(RefusedError, match="does not grant QoS 1 on devices/"):
            turn_until_it_ends(connection)


def run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603  # our own commands


@pytest.fixture
def secure(start_mosquitto: StartMosquitto, tmp_path: Path) -> Broker:
    """A broker behind TLS that knows one user."""
    openssl, passwd = shutil.which("openssl"), shutil.which("mosquitto_passwd")
    if openssl is None or passwd is None:
        pytest.skip("no openssl, or no mosquitto_passwd, on this machine")
    run(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        folder=tmp_path,
    )
    run(passwd, "-b", "-c", "users", "bridge", "right", folder=tmp_path)
    return start_mosquitto(
        f"certfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\n"
        f"password_file {tmp_path}/users\nallow_anonymous false"
    )


def test_tls_and_credentials(secure: Broker, tmp_path: Path, kafka: Kafka, start: Start, until: Until) -> None:
    address = secure.address.replace("mqtt://", "mqtts://")
    known = {"username": "bridge", "password": "right", "ca_file": str(tmp_path / "cert.pem")}
    running = start(address, kafka, **known)
    with Publisher(MqttSettings.model_validate({"url": address, **known})) as publisher:
        for number in range(500):
            publisher.publish("devices/d0/readings", b'{"n": %d}' % number)
        publisher.flush()
    until(lambda: running.bridge.acknowledged == 500)
    assert [int(one.metrics["n"]) for one in kafka.readings()] == list(range(500))


@pytest.mark.parametrize("version", ["auto", "3.1.1"])
def test_wrong_credentials(secure: Broker, tmp_path: Path, version: str) -> None:
    address = secure.address.replace("mqtt://", "mqtts://")
    with pytest.raises(RefusedError, match="TIDEGATE_MQTT__PASSWORD") as caught:
        opened(address, username="bridge", password="wrong", ca_file=str(tmp_path / "cert.pem"), version=version)
    assert "wrong" not in str(caught.value)


def test_an_unknown_certificate(secure: Broker) -> None:
    with pytest.raises(RefusedError, match="TIDEGATE_MQTT__CA_FILE"):
        opened(secure.address.replace("mqtt://", "mqtts://"))


def test_a_missing_certificate_file(secure: Broker) -> None:
    with pytest.raises(RefusedError, match="TIDEGATE_MQTT__CA_FILE"):
        opened(secure.address.replace("mqtt://", "mqtts://"), ca_file="/nowhere.pem")
