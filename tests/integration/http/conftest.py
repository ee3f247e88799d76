"""A gateway on a real socket, and a client that sees everything that comes back."""

import http.client
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from connectors.embedded.server import Server
from connectors.http.app import build
from connectors.http.parts import Parts
from connectors.http.serve import serve
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.kafka.settings import KafkaSettings
from connectors.timescale.desk import Desk
from connectors.timescale.reader import Reader
from connectors.timescale.settings import DatabaseSettings
from schemas import codec
from schemas.models import Reading
from schemas.registry import READING
from schemas.topics import Topic

NODE = Path(__file__).parents[2] / "fakes" / "node"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  # JSON of any shape
        return json.loads(self.body)


class Client:
    """One connection for each request."""

    def __init__(self, url: str) -> None:
        self.port = int(url.rpartition(":")[2])

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, body: object, content_type: str = "application/json", **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", "/v1/readings", data, {"Content-Type": content_type, **headers})

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:  # noqa: ANN401  # bytes, or parts of them
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()


@pytest.fixture
def start() -> Iterator[Callable[[Parts], Client]]:
    """Start gateways, and end them after the test."""
    running: list[tuple[threading.Thread, threading.Event]] = []

    def one(parts: Parts) -> Client:
        ready, stop = threading.Event(), threading.Event()
        urls: list[str] = []

        def on_ready(url: str) -> None:
            urls.append(url)
            ready.set()

        thread = threading.Thread(target=serve, args=(build(parts), "127.0.0.1", 0, on_ready, stop), daemon=True)
        thread.start()
        running.append((thread, stop))
        assert ready.wait(20)
        return Client(urls[0])

    yield one
    for _thread, stop in running:
        stop.set()
    for thread, _stop in running:
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def kafka(kafka_server: Server) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_server.address, delivery_timeout_s=20)


@pytest.fixture
def producer(kafka: KafkaSettings) -> Iterator[Producer]:
    found = Producer(kafka)
    yield found
    found.close()


@pytest.fixture
def topic(kafka: KafkaSettings, topic_name: str) -> str:
    Admin(kafka).apply([Topic(topic_name, READING, timedelta(days=1), mirrored=False, partitions=2)])
    return topic_name


@pytest.fixture
def in_kafka(kafka: KafkaSettings, topic: str) -> Callable[[], list[Reading]]:
    """Read everything that the topic has now; a key must be its reading's device."""

    def read() -> list[Reading]:
        bounds = Admin(kafka).bounds([(topic, 0), (topic, 1)])
        expected = sum(bound.end - bound.start for bound in bounds.values())
        consumer = Consumer({**kafka.client(), "group.id": "none", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, number, bound.start) for (_, number), bound in bounds.items()])
        found: list[Reading] = []
        try:
            while len(found) < expected:
                message = consumer.poll(10)
                assert message is not None
                assert message.error() is None
                reading = codec.decode(message.value() or b"", Reading)
                assert message.key() == reading.device_id.encode()
                found.append(reading)
        finally:
            consumer.close()
        return found

    return read


@pytest.fixture
def parts(producer: Producer, topic: str, database: DatabaseSettings) -> Parts:
    return Parts(producer=producer, reader=Reader(database), desk=Desk(database), topic=topic)


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the clients from npm, once for all runs where the cache of npm has them."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("there is no Node")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "registry.cjs"):
        shutil.copy(NODE / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"],  # noqa: S607  # whichever there is
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm does not install the clients: {done.stderr.strip().splitlines()[-1:]}")
    return folder
