"""`tidegate status --watch`: looks again and again until somebody ends it."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from schemas.models import Reading
from tests.e2e.conftest import Flow, eventually
from tests.e2e.test_shadow import START

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(120)]

COMMAND = [sys.executable, "-m", "streams.cli.main", "status", "--watch"]


def test_machines_get_an_object_a_look(flow: Flow) -> None:
    flow.start("worker", "--lane", "ingest")
    with subprocess.Popen(  # noqa: S603  # our own command
        [*COMMAND, "--json", "--every", "0.3"], env=flow.environment, stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        flow.produce([Reading(device_id="pump-1", ts=START, metrics={"t": 1.0})])
        last = first
        deadline = time.monotonic() + 60
        while last["totals"]["stored"] == 0:
            assert time.monotonic() < deadline
            last = json.loads(watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(30) == 0
    assert first["totals"]["stored"] == 0
    assert last["topics"]["readings"] == 1
    assert {one["topic"] for one in last["partitions"]} == {"readings", "analysis-requests"}


def test_people_get_a_view_at_a_terminal_alone(flow: Flow) -> None:
    refused = flow.run("status", "--watch")
    assert refused.returncode == 2
    assert "terminal" in refused.stderr
    ours, theirs = pty.openpty()
    environment = {**flow.environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen([*COMMAND, "--every", "0.3"], env=environment, stdout=theirs) as watching:  # noqa: S603  # our own command
        os.close(theirs)
        shown = b""

        def is_shown() -> bool:
            nonlocal shown
            shown += os.read(ours, 65_536)
            return b"latest insights" in shown and b"a second" in shown

        eventually(is_shown, "the view is drawn", 60)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    os.close(ours)
