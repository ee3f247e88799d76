"""The stand-in model server as a fixture: one process for all tests that ask for it."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("openai_server.py")


class StandIn:
    """Where the server is, and what can be asked of it beside completions."""

    def __init__(self, url: str, control: str) -> None:
        self.url = url
        self._control = control

    def requests(self, method: str = "POST") -> list[dict[str, Any]]:
        """Give what came; with GET somebody only looked which models there are."""
        return [request for request in self._call("GET", "requests") if request["method"] == method]

    def started(self) -> bool:
        """Wait until a request has come."""
        return self._wait(bool)

    def ended(self, how: str) -> bool:
        """Wait until the only request has ended; say whether that was `how`."""
        self._wait(lambda requests: requests[0]["ended"] is not None)
        (request,) = self.requests()
        return bool(request["ended"] == how)

    def _wait(self, condition: Callable[[list[dict[str, Any]]], bool]) -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if condition(self.requests()):
                return True
            time.sleep(0.01)
        return False

    def queue(self, *behaviours: str) -> None:
        self._call("PUT", "queue", {"behaviours": behaviours})

    def default(self, behaviour: str) -> None:
        self._call("PUT", "default", {"behaviour": behaviour})

    def content(self, content: str | None) -> None:
        self._call("PUT", "content", {"content": content})

    def models(self, *models: str, status: int = 200) -> None:
        self._call("PUT", "models", {"models": models, "status": status})

    def batches(self, behaviour: str) -> None:
        self._call("PUT", "batches", {"behaviour": behaviour})

    def lines(self) -> dict[str, list[dict[str, Any]]]:
        """Give the lines of each batch."""
        found: dict[str, list[dict[str, Any]]] = self._call("GET", "batches")
        return found

    def reset(self) -> None:
        self._call("DELETE", "batches")
        self._call("DELETE", "requests")
        self.queue()
        self.default("ok")
        self.content(None)
        self.models("stand-in")

    def _call(self, method: str, what: str, body: object = None) -> Any:  # noqa: ANN401  # JSON of any shape
        request = urllib.request.Request(  # noqa: S310  # the address of the server started below
            f"{self._control}/{what}", json.dumps(body).encode() if body else None, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return json.load(response)


@pytest.fixture(scope="session")
def stand_in_process() -> Iterator[StandIn]:
    command = [sys.executable, str(SERVER), "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own file
        assert process.stdout is not None
        yield StandIn(**json.loads(process.stdout.readline()))
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture
def stand_in(stand_in_process: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    # What the library reads by itself must not reach these tests.
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ADMIN_KEY", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    stand_in_process.reset()
    return stand_in_process
