"""`tidegate replay --shadow` on real servers: what the log says today, beside what is stored."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.kafka import consumer
from connectors.kafka.admin import Bounds
from connectors.kafka.producer import Outgoing, Producer
from schemas.codec import decode
from schemas.models import Reading
from schemas.topics import READINGS
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
DEVICES = [f"pump-{number}" for number in range(4)]
TABLES = ("readings", "insights", "tasks", "devices", "sink_offsets", "replays")


def readings() -> list[Reading]:
    """Make a quiet day, and one pump that leaps at its end."""
    quiet = [
        Reading(device_id=device, ts=START + timedelta(seconds=second), metrics={"pressure": 5.0 + second % 7 / 10})
        for second in range(400)
        for device in DEVICES
    ]
    leap = [
        Reading(device_id="pump-1", ts=START + timedelta(seconds=400 + more), metrics={"pressure": 50.0})
        for more in range(5)
    ]
    return quiet + leap


def shadow(flow: Flow, *arguments: str, code: int) -> Any:  # noqa: ANN401  # JSON
    done = flow.run("replay", "readings", "--shadow", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def stored(flow: Flow) -> Flow:
    """Readings that are stored, and an alarm that rules have explained."""
    flow.start("worker", "--lane", "ingest")
    flow.start("worker", "--lane", "analyze")
    flow.produce(readings())
    producer = Producer(flow.settings.kafka)
    producer.publish([Outgoing(READINGS.name, b"pump-3", b"no reading")])
    producer.close()
    eventually(flow.drained, "all is stored")
    eventually(lambda: bool(flow.fetch("select 1 from insights")) and flow.drained("analyze"), "the alarm is explained")
    return flow


@pytest.fixture
def everything(stored: Flow) -> Callable[[], object]:
    """Give all that must not change."""

    def look() -> object:
        tables = {table: stored.fetch(f"select * from {table} order by 1, 2, 3") for table in TABLES}  # noqa: S608  # ours
        return tables, stored.lag()

    return look


def test_what_is_stored_is_what_the_log_says(stored: Flow, everything: Callable[[], object]) -> None:
    before = everything()
    told = shadow(stored, code=0)
    assert told["rows"] == {"same": 1_605}
    assert told["poison"] == {"framing": 1}
    ((insights,),) = stored.fetch("select count(*) from insights")
    assert told["alarms"] == {"again": insights}
    assert told["examples"] == []
    assert told["records"] == 1_606
    assert everything() == before
    assert stored.fetch("select who <> '', detail->>'topic' from audit where action = 'replay shadow'") == [
        (True, "readings")
    ]
    # A part of it, and for people.
    done = stored.run("replay", "readings", "--shadow", "--device", "pump-1")
    assert done.returncode == 0, done.stderr
    assert "405 the same" in done.stdout


def test_what_was_lost_or_changed_is_found_and_a_replay_repairs_it(stored: Flow) -> None:
    stored.fetch(
        "delete from readings where device_id = 'pump-2' and ts < %s returning 1", START + timedelta(seconds=10)
    )
    stored.fetch("update readings set value = 9.5 where device_id = 'pump-0' and ts = %s returning 1", START)
    stored.fetch("update insights set id = gen_random_uuid(), metric = 'flow' returning 1")
    told = shadow(stored, code=1)
    assert told["rows"] == {"same": 1_594, "missing": 10, "other": 1}
    assert told["alarms"] == {"new": told["alarms"]["gone"], "gone": told["alarms"]["gone"]}
    kinds = [(one["what"], one["device"], one["metric"]) for one in told["examples"]]
    assert ("other", "pump-0", "pressure") in kinds
    assert ("missing", "pump-2", "pressure") in kinds
    assert ("new", "pump-1", "pressure") in kinds
    assert ("gone", "pump-1", "flow") in kinds
    other = next(one for one in told["examples"] if one["what"] == "other")
    assert (other["said"], other["stored"]) == (5.0, 9.5)
    place = [("readings", other["partition"])]
    log = {name: Bounds(other["offset"], other["offset"] + 1) for name in place}
    ((record,),) = (chunk.records for chunk in consumer.read(stored.settings.kafka, log))
    assert decode(record.value() or b"", Reading) == readings()[0]

    # What is missing comes back; what was changed by hand has an acceptance of its own, so it stays.
    done = stored.run("replay", "readings", "--device", "pump-2", "--yes")
    assert done.returncode == 0, done.stderr
    eventually(stored.drained, "the copies are stored")
    assert shadow(stored, "--device", "pump-2", code=0)["rows"] == {"same": 400}


def test_expressions_leave_alarms_out_and_options_that_contradict_are_refused(stored: Flow) -> None:
    told = shadow(stored, "--where", "metrics.pressure > 40.0", code=0)
    assert told["rows"] == {"same": 5}
    assert told["alarms"] is None
    for more in (["--into", "elsewhere"], ["--dry-run"], ["--re-ask"], ["--cache-only"]):
        assert "--shadow" in shadow(stored, *more, code=2)
    done = stored.run("replay", "analysis-requests", "--shadow")
    assert done.returncode == 2
    assert "readings" in done.stderr
