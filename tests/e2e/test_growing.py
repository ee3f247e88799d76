"""`tidegate topics grow`: most devices move to another partition, and nothing is lost, stored twice or missed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.kafka.admin import Admin
from schemas.models import Reading
from schemas.topics import READINGS
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
DEVICES = [f"pump-{number}" for number in range(20)]


def readings(first: int, end: int) -> list[Reading]:
    return [
        Reading(
            device_id=device, ts=START + timedelta(seconds=second), metrics={"pressure": 5.0 + (second * 7 % 10) / 10}
        )
        for second in range(first, end)
        for device in DEVICES
    ]


def grow(flow: Flow, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
    done = flow.run("topics", "grow", "readings", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def test_a_topic_grows_when_all_of_it_was_read(flow: Flow) -> None:
    before = READINGS.partitions
    worker = flow.start("worker", "--lane", "ingest")
    flow.start("worker", "--lane", "analyze")
    flow.produce(readings(0, 100))
    eventually(flow.drained, "all is stored")
    assert str(before) in grow(flow, "--partitions", str(before), code=2)
    assert worker.terminate() == 0
    flow.produce(readings(100, 110))
    refused = grow(flow, "--partitions", str(before + 5), code=2)
    assert "200 records of readings are not read yet" in refused
    worker = flow.start("worker", "--lane", "ingest")
    eventually(flow.drained, "all is stored")

    assert worker.terminate() == 0
    told = grow(flow, "--partitions", str(before + 5))
    assert (told["before"], told["partitions"], told["detectors"]) == (before, before + 5, before)
    assert Admin(flow.settings.kafka).topics(["readings"])["readings"].partitions == before + 5
    # Their detectors know nothing: those of devices that have moved would take them for silent.
    assert flow.fetch("select count(*) from detector_snapshots") == [(0,)]
    assert flow.fetch("select count(*) from sink_offsets where snapshot_offset <> next_offset") == [(0,)]
    worker = flow.start("worker", "--lane", "ingest")
    flow.produce(readings(110, 400))
    eventually(flow.drained, "all is stored")
    eventually(lambda: flow.drained("analyze"), "all is explained")
    ((rows,),) = flow.fetch("select count(*) from readings")
    assert rows == len(DEVICES) * 400
    totals = json.loads(flow.run("status", "--json").stdout)["totals"]
    assert (totals["stored"], totals["duplicates"], totals["conflicts"]) == (rows, 0, 0)
    assert flow.fetch("select who <> '', detail->>'partitions' from audit where action = 'topics grow'") == [
        (True, str(before + 5))
    ]
    assert worker.terminate() == 0
