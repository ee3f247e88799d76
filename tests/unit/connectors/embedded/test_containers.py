"""Containers: against an engine's HTTP interface played by a real server, and against Docker itself where it runs."""

import json
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

pytest.importorskip("testcontainers", reason="the extra `embedded` is not installed")

from testcontainers.core.config import testcontainers_config

from connectors.embedded import containers, images

Start = Callable[[Path], tuple[containers.RunningContainer, str]]
STARTS: list[tuple[Start, images.Image]] = [
    (containers.start_kafka, images.KAFKA),
    (containers.start_timescale, images.TIMESCALE),
    (containers.start_valkey, images.VALKEY),
]


class Engine(ThreadingHTTPServer):
    """As much of Docker's interface as is called: images, volumes, containers, exec."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.images: set[str] = {image.name for _, image in STARTS}
        self.volumes: dict[str, dict[str, str]] = {}
        self.created: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.pull: Callable[[Handler], None] = Handler.refuse_pull
        self.checks = 2  # health checks until the server is ready
        self.exits_at_once = False
        self.ending = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base class gives it
        del format, args

    def answer(self, status: int, body: object = None, *, raw: bytes | None = None) -> None:
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if raw is None else "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse_pull(self) -> None:
        data = json.dumps({"error": "no such host"}).encode() + b"\n"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

    def say_nothing(self) -> None:
        self.server.ending.wait()
        self.close_connection = True

    def do_GET(self) -> None:
        self.act()

    def do_POST(self) -> None:
        self.act()

    def do_DELETE(self) -> None:
        self.act()

    def act(self) -> None:
        parts = urlsplit(self.path)
        call = f"{self.command} {re.sub(r'^/v1[.][0-9]+', '', unquote(parts.path))}"
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        self.body: dict[str, Any] = json.loads(self.rfile.read(length)) if length else {}
        self.server.calls.append(call)
        for pattern, method in self.ROUTES.items():
            if found := re.fullmatch(pattern, call):
                method(self, *found.groups())
                return
        self.answer(404, {"message": f"nothing at {call}"})

    def find_image(self, name: str) -> None:
        known = name in self.server.images
        self.answer(200 if known else 404, {"Id": "sha256:1", "message": "No such image"})

    def find_volumes(self) -> None:
        (wanted,) = json.loads(self.query["filters"])["label"]
        labelled = {name: {f"{k}={v}" for k, v in labels.items()} for name, labels in self.server.volumes.items()}
        self.answer(200, {"Volumes": [{"Name": name} for name, labels in labelled.items() if wanted in labels]})

    def make_volume(self) -> None:
        self.server.volumes[self.body["Name"]] = self.body["Labels"]
        self.answer(201, {"Name": self.body["Name"]})

    def remove_volume(self, name: str) -> None:
        del self.server.volumes[name]
        self.answer(204)

    def make_container(self) -> None:
        self.server.created[self.query["name"]] = self.body
        self.answer(201, {"Id": self.query["name"]})

    def show_container(self, name: str) -> None:
        if name not in self.server.created:
            self.answer(404, {"message": "No such container"})
            return
        status = "exited" if self.server.exits_at_once else "running"
        self.answer(200, {"Id": name, "Name": name, "State": {"Status": status}, "Config": {"Tty": False}})

    def begin_check(self) -> None:
        self.server.checks -= 1
        self.answer(201, {"Id": "check"})

    def say_no_more(self) -> None:
        """Answer with a stream that ends where the connection does."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True

    def remove_container(self, name: str) -> None:
        del self.server.created[name]
        self.answer(204)

    ROUTES: ClassVar[dict[str, Callable[..., None]]] = {
        "GET /_ping": lambda self: self.answer(200, raw=b"OK"),
        "GET /version": lambda self: self.answer(200, {"ApiVersion": "1.44", "MinAPIVersion": "1.24"}),
        "GET /images/(.+)/json": find_image,
        "POST /images/create": lambda self: self.server.pull(self),
        "GET /volumes": find_volumes,
        "POST /volumes/create": make_volume,
        "DELETE /volumes/(.+)": remove_volume,
        "POST /containers/create": make_container,
        "GET /containers/([^/]+)/json": show_container,
        # A frame of eight bytes, from standard output.
        "GET /containers/[^/]+/logs": lambda self: self.answer(200, raw=b"\x01\0\0\0\0\0\0\x08no space"),
        "POST /containers/[^/]+/exec": begin_check,
        "POST /exec/check/start": say_no_more,
        "GET /exec/check/json": lambda self: self.answer(200, {"ExitCode": 0 if self.server.checks <= 0 else 1}),
        "POST /containers/[^/]+/(?:start|stop)": lambda self: self.answer(204),
        "DELETE /containers/([^/]+)": remove_container,
    }


@contextmanager
def running() -> Iterator[Engine]:
    with Engine() as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield engine
        finally:
            engine.ending.set()
            engine.shutdown()
            thread.join()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(testcontainers_config, "_ryuk_disabled", True)  # the reaper would need a real engine
    with running() as played:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{played.server_address[1]}")
        yield played


def test_an_engine_that_answers(engine: Engine) -> None:
    assert containers.docker_answers()
    assert "GET /_ping" in engine.calls


def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert not containers.docker_answers()


def test_an_engine_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        begin = time.monotonic()
        assert not containers.docker_answers(0.5)
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("host", ["tcp://docker.example:2375", "ssh://docker.example", "nonsense"])
def test_an_engine_of_another_machine_does_not_count(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert not containers.docker_answers(1.0)


@pytest.mark.parametrize(("start", "image"), STARTS)
def test_a_container_is_what_its_image_says(start: Start, image: images.Image, engine: Engine, tmp_path: Path) -> None:
    server, address = start(tmp_path / "data")
    ((name, created),) = engine.created.items()
    assert created["Image"] == image.name
    environment = dict(entry.split("=", 1) for entry in created.get("Env", ()))
    assert environment.items() >= dict(image.environment).items()
    assert created.get("Cmd", []) == list(image.command)
    assert created["Healthcheck"]["Test"] == ["CMD-SHELL", image.healthcheck]
    (published,) = created["HostConfig"]["PortBindings"][f"{image.port}/tcp"]
    port = int(re.findall(r":(\d+)", address)[-1])
    assert published == {"HostIp": "127.0.0.1", "HostPort": str(port)}
    assert created["HostConfig"]["Binds"] == [f"{name}:{image.volume}:rw"]
    assert name in engine.volumes
    server.stop()
    assert f"POST /containers/{name}/stop" in engine.calls, "it may write what it holds"
    assert engine.created == {}
    assert name in engine.volumes, "the data stays"


def test_kafka_tells_clients_the_port_that_is_published(engine: Engine, tmp_path: Path) -> None:
    server, address = containers.start_kafka(tmp_path)
    ((_, created),) = engine.created.items()
    environment = dict(entry.split("=", 1) for entry in created["Env"])
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"INTERNAL://localhost:19092,EXTERNAL://{address}"
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", environment["CLUSTER_ID"])
    server.stop()


def test_a_folder_keeps_its_volume_and_its_secrets(engine: Engine, tmp_path: Path) -> None:
    first, url = containers.start_timescale(tmp_path)
    ((name, created),) = engine.created.items()
    first.stop()
    second, again = containers.start_timescale(tmp_path)
    assert engine.created.keys() == {name}
    password = dict(entry.split("=", 1) for entry in created["Env"])["POSTGRES_PASSWORD"]
    assert f"tidegate:{password}@" in url
    assert f"tidegate:{password}@" in again
    assert stat.S_IMODE((tmp_path / containers.REMEMBERED).stat().st_mode) == 0o600
    second.stop()


def test_an_emptied_folder_starts_from_nothing(engine: Engine, tmp_path: Path) -> None:
    other, _ = containers.start_valkey(tmp_path / "other")
    others = set(engine.volumes)
    other.stop()
    first, _ = containers.start_valkey(tmp_path / "one")
    before = set(engine.volumes) - others
    first.stop()
    (tmp_path / "one" / containers.REMEMBERED).unlink()
    second, _ = containers.start_valkey(tmp_path / "one")
    assert not before & set(engine.volumes), "the old volume is gone"
    assert others <= set(engine.volumes), "another folder's is not touched"
    second.stop()


def test_data_in_use_is_not_opened_twice(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "REAPED_WITHIN_S", 0.0)
    first, _ = containers.start_kafka(tmp_path)
    with pytest.raises(containers.ContainerError, match=r"already has this data.*TIDEGATE_DATA_DIR"):
        containers.start_kafka(tmp_path)
    first.stop()
    assert engine.created == {}


def test_what_a_killed_parent_left_is_waited_for(engine: Engine, tmp_path: Path) -> None:
    containers.start_kafka(tmp_path)
    ((name, _),) = engine.created.items()
    reaper = threading.Timer(0.7, engine.created.pop, [name])
    reaper.start()
    server, _ = containers.start_kafka(tmp_path)
    reaper.join()
    server.stop()


def test_a_server_that_ends_while_it_starts_is_quoted_and_removed(engine: Engine, tmp_path: Path) -> None:
    engine.exits_at_once = True
    with pytest.raises(containers.ContainerError, match=r"ended while it started.*\n.*no space"):
        containers.start_kafka(tmp_path)
    assert engine.created == {}


def test_a_server_that_never_answers_is_removed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "READY_S", 0.0)
    engine.checks = 1000
    with pytest.raises(containers.ContainerError, match="did not answer"):
        containers.start_valkey(tmp_path)
    assert engine.created == {}


def test_an_image_that_cannot_be_had(engine: Engine, tmp_path: Path) -> None:
    engine.images.clear()
    with pytest.raises(containers.ContainerError, match=r"valkey/valkey:\S+ cannot be had: no such host"):
        containers.start_valkey(tmp_path)
    assert engine.created == {}


def test_a_registry_that_says_nothing_is_given_up(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "ANSWER_S", 1)
    engine.images.clear()
    engine.pull = Handler.say_nothing
    begin = time.monotonic()
    with pytest.raises(containers.ContainerError, match="cannot be had: the registry says nothing for 1 s"):
        containers.start_valkey(tmp_path)
    assert time.monotonic() - begin < 10


@pytest.mark.skipif(not containers.docker_answers(), reason="no Docker engine answers")
@pytest.mark.parametrize(("start", "image"), STARTS)
def test_docker_itself(start: Start, image: images.Image, tmp_path: Path) -> None:
    server, address = start(tmp_path)
    try:
        host, port = re.findall(r"([\d.]+):(\d+)", address)[-1]
        socket.create_connection((host, int(port)), timeout=5).close()
    finally:
        server.stop()
        remembered = containers.Remembered.of(tmp_path, image.name)
        server.container.get_docker_client().client.volumes.get(remembered.volume).remove()
