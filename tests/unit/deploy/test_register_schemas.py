"""Registering our schemas, against a server that answers as Confluent's registry documents."""

import json
import re
import runpy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from schemas.registry import PUBLISHED
from schemas.topics import TOPICS

PROGRAM = Path(__file__).parents[3] / "deploy/register_schemas.py"


class Registry(ThreadingHTTPServer):
    """Keeps versions and modes; takes a schema with an id in the mode IMPORT alone."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.versions: dict[tuple[str, int], dict[str, Any]] = {}
        self.modes: dict[str, str] = {}
        self.refuse_posts = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base class gives it
        del format, args

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return loaded

    def do_GET(self) -> None:
        found = re.fullmatch(r"/subjects/([\w-]+)/versions/(\d+)", self.path)
        assert found
        known = self.server.versions.get((found[1], int(found[2])))
        self.answer(200, known) if known else self.answer(404, {"error_code": 40401, "message": "Subject not found"})

    def do_PUT(self) -> None:
        found = re.fullmatch(r"/mode/([\w-]+)(\?force=true)?", self.path)
        assert found
        mode = self.body()["mode"]
        has_versions = any(subject == found[1] for subject, _ in self.server.versions)
        if mode == "IMPORT" and has_versions and not found[2]:
            self.answer(422, {"error_code": 42205, "message": "Cannot import since found existing subjects"})
            return
        self.server.modes[found[1]] = mode
        self.answer(200, {"mode": mode})

    def do_POST(self) -> None:
        found = re.fullmatch(r"/subjects/([\w-]+)/versions", self.path)
        assert found
        body = self.body()
        if self.server.refuse_posts or self.server.modes.get(found[1]) != "IMPORT":
            self.answer(422, {"error_code": 42205, "message": "Subject is not in import mode"})
            return
        self.server.versions[found[1], body["version"]] = {"subject": found[1], **body}
        self.answer(200, {"id": body["id"]})


@contextmanager
def running() -> Iterator[Registry]:
    with Registry() as registry:
        thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield registry
        finally:
            registry.shutdown()
            thread.join()


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    program: Callable[[list[str]], int] = runpy.run_path(str(PROGRAM))["main"]
    return program


def test_every_version_gets_the_id_that_records_carry(main: Callable[[list[str]], int]) -> None:
    with running() as registry:
        assert main([registry.url]) == 0
        found = {subject: (known["id"], known["schema"]) for subject, known in registry.versions.items()}
        topics = {topic.schema.name: topic.name for topic in TOPICS}
        assert found == {(f"{topics[v.name]}-value", v.version): (v.id, v.text) for v in PUBLISHED}
        assert set(registry.modes.values()) == {"READWRITE"}


def test_it_can_be_repeated(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    with running() as registry:
        assert main([registry.url]) == 0
        registry.modes.clear()
        assert main([registry.url]) == 0
        assert registry.modes == {}, "what is registered already is not touched"
        assert capsys.readouterr().out.count("already there") == len(PUBLISHED)


def test_another_schema_under_our_subject_is_said_and_left(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as registry:
        registry.versions["readings-value", 1] = {"id": 1, "schema": '"string"'}
        assert main([registry.url]) == 1
        assert "readings-value version 1 is another schema there, with id 1 for 7101" in capsys.readouterr().err
        assert registry.versions["readings-value", 1]["id"] == 1


def test_a_refusal_is_explained_and_the_subject_closed_again(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as registry:
        registry.refuse_posts = True
        assert main([registry.url]) == 1
        assert "422" in capsys.readouterr().err
        assert registry.modes == {"readings-value": "READWRITE"}


def test_a_registry_that_is_not_there(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    with Registry() as gone:
        url = gone.url
    assert main([url]) == 1
    assert url in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["file:///etc/passwd"], ["http://a", "http://b"]])
def test_wrong_usage(main: Callable[[list[str]], int], arguments: list[str]) -> None:
    assert main(arguments) == 2
