"""The stand-in model, a process of its own behind a socket, for benches that need one."""

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from scripts.benches.measure import MeasureError

MODEL = Path(__file__).parents[2] / "tests" / "fakes" / "openai_server.py"


@contextmanager
def running() -> Iterator[tuple[str, str]]:
    """Run the stand-in model; give its address, and that of its control."""
    with process() as (said, _):
        yield said["url"], said["control"]


@contextmanager
def process() -> Iterator[tuple[dict[str, str], "Popen[str]"]]:
    """Run the stand-in model; give what it says of itself, and the process, which may be ended meanwhile."""
    command = [sys.executable, str(MODEL), "--until-stdin-closes"]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as started:  # noqa: S603  # our own file
        if started.stdout is None:
            raise MeasureError("the stand-in model has no output")
        said = json.loads(started.stdout.readline())
        try:
            yield said, started
        finally:
            started.kill()


def call(control: str, method: str, what: str, body: object = None) -> list[dict[str, object]]:
    """Tell its control something, or ask for the requests that came."""
    request = urllib.request.Request(  # noqa: S310  # the address of the process started above
        f"{control}/{what}", json.dumps(body).encode() if body else None, method=method
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        found: list[dict[str, object]] = json.load(response)
    return found
