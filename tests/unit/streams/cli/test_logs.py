"""The log is a line for people at a terminal, and a JSON object for machines elsewhere."""

import json
import os
import pty
import subprocess
import sys

import pytest

SCRIPT = """
import logging
from streams.cli.logs import log_to_stderr
from streams.settings import load
log_to_stderr(load())
log = logging.getLogger("a.b")
log.warning("%d records\\nof %s", 3, "pump \\x1b[31m", extra={"device": "pump-7", "offsets": [1, 2]})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
log.info("nobody reads this")
"""


def written(stderr: int, **environment: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", SCRIPT], env=kept | environment, stderr=stderr, check=True, timeout=60
    )


def to_pipe(**environment: str) -> str:
    reader, writer = os.pipe()
    with open(reader, encoding="utf-8") as file:  # noqa: PTH123  # a descriptor
        written(writer, **environment)
        os.close(writer)
        return file.read()


def test_machines_get_an_object_a_line_with_all_that_is_known() -> None:
    first, second = map(json.loads, to_pipe().splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "WARNING",
        "logger": "a.b",
        "message": "3 records\nof pump \x1b[31m",
        "device": "pump-7",
        "offsets": [1, 2],
    }
    assert (second["level"], second["message"]) == ("ERROR", "it failed")
    assert "ZeroDivisionError" in second["exc_info"]


def test_who_wants_text_gets_text() -> None:
    lines = to_pipe(TIDEGATE_LOG_FORMAT="text").splitlines()
    assert lines[0].endswith("WARNING a.b: 3 records")


@pytest.mark.parametrize(("form", "is_json"), [("auto", False), ("json", True)])
def test_at_a_terminal_people_read(form: str, is_json: bool) -> None:  # noqa: FBT001  # a parameter
    ours, theirs = pty.openpty()
    written(theirs, TIDEGATE_LOG_FORMAT=form)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown.startswith("{") is is_json
    assert "3 records" in shown
