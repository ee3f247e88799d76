"""`tidegate dlq` on real servers: what was refused is found, mended, sent again and stored, or put away."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import pytest

from connectors.kafka.admin import Admin
from connectors.kafka.producer import Outgoing, Producer
from connectors.mqtt.records import records as of_mqtt
from schemas.codec import encode, frame
from schemas.models import Reading
from schemas.registry import READING
from schemas.topics import ANALYSIS_REQUESTS, DEAD_LETTERS, READINGS
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
OPEN = {("ingest", "framing"): 2, ("ingest", "key"): 1, ("ingest", "not-finite"): 1, ("ingest", "ts-ahead"): 1}
ROWS = "select device_id, metric, ts, value from readings order by 1, 2, 3"


def reading(device: str, second: int = 0, **metrics: float) -> Reading:
    return Reading(device_id=device, ts=START + timedelta(seconds=second), metrics=metrics or {"pressure": 5.0})


def unchecked(device: str, **metrics: float) -> bytes:
    """Write what no model of ours would let through."""
    out = io.BytesIO(frame(READING.wire_id))
    out.seek(0, io.SEEK_END)
    fields = {"device_id": device, "ts": START, "metrics": metrics, "units": {}, "tags": {}, "seq": None}
    fastavro.schemaless_writer(out, READING.parsed, fields)
    return out.getvalue()


def publish(flow: Flow, records: Sequence[Outgoing]) -> None:
    producer = Producer(flow.settings.kafka)
    producer.publish(records)
    producer.close()


def dlq(flow: Flow, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
    done = flow.run("dlq", *arguments, "--json")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def listed(flow: Flow, *arguments: str) -> dict[tuple[str, str], int]:
    return {(one["stage"], one["reason"]): one["letters"] for one in dlq(flow, "list", *arguments)["groups"]}


def kept(flow: Flow) -> int:
    admin = Admin(flow.settings.kafka)
    names = [(DEAD_LETTERS.name, number) for number in range(DEAD_LETTERS.partitions)]
    return sum(bound.end - bound.start for bound in admin.bounds(names).values())


@pytest.fixture
def refused(flow: Flow) -> Flow:
    """A worker that has refused five records, each for something that can be mended but one, and stored another."""
    flow.start("worker", "--lane", "ingest")
    ahead = Reading(device_id="pump-4", ts=datetime.now(UTC) + timedelta(days=400), metrics={"pressure": 5.0})
    payload = json.dumps({"ts": START.isoformat(), "metrics": {"pressure": 7.0}}).encode()
    publish(
        flow,
        [
            Outgoing(READINGS.name, b"pump-0", encode(reading("pump-0"))),
            Outgoing(READINGS.name, b"pump-1", payload),
            Outgoing(READINGS.name, b"pump-9", b"\x1b[31mnothing\x00"),
            Outgoing(READINGS.name, b"pump-two", encode(reading("pump-2", pressure=6.0))),
            Outgoing(READINGS.name, b"pump-3", unchecked("pump-3", pressure=8.0, broken=float("nan"))),
            Outgoing(READINGS.name, b"pump-4", encode(ahead)),
        ],
    )
    eventually(flow.drained, "all are stored or refused")
    return flow


def test_letters_are_listed_shown_mended_and_redriven(refused: Flow) -> None:
    assert listed(refused) == OPEN
    (shown,) = dlq(refused, "show", "--reason", "key")["letters"]
    assert shown["content"]["device_id"] == "pump-2"
    assert (shown["key"], shown["state"]) == ("pump-two", "open")
    assert bytes.fromhex(shown["value"]) == encode(reading("pump-2", pressure=6.0))
    raw = refused.run("dlq", "show", "--device", "pump-9")
    assert raw.returncode == 0
    assert "1b 5b 33 31 6d 6e 6f" in raw.stdout
    assert ".[31mnothing." in raw.stdout
    assert "\x1b" not in raw.stdout, "nothing of a device reaches the terminal raw"

    # As they are, none would be taken, so none is sent.
    told = dlq(refused, "redrive", "--all")
    assert (told["redriven"], sum(told["stay"].values())) == (0, 5)
    assert any("the record's key is not its device id" in why for why in told["stay"])
    assert listed(refused) == OPEN

    dry = dlq(refused, "redrive", "--reason", "key", "--set", "key=device_id", "--dry-run")
    assert (dry["redriven"], dry["to"]) == (1, {"ingest → readings": 1})
    assert listed(refused) == OPEN
    mended = {
        "key": ["--set", "key=device_id"],
        "not-finite": ["--unset", "metrics.broken", "--set", "metrics.pressure=metrics.pressure / 2.0"],
        "ts-ahead": ["--set", "ts=timestamp('2026-03-01T00:00:00Z')"],
        "framing": ["--as-payload"],
    }
    for reason, how in mended.items():
        told = dlq(refused, "redrive", "--reason", reason, *how)
        assert told["redriven"] == 1, told
    eventually(refused.drained, "the mended ones are looked at")
    values = {row[0]: row[3] for row in refused.fetch(ROWS)}
    assert values == {"pump-0": 5.0, "pump-1": 7.0, "pump-2": 6.0, "pump-3": 4.0, "pump-4": 5.0}
    assert {row[2] for row in refused.fetch(ROWS)} == {START}
    # They count as accepted when they were.
    ((late,),) = refused.fetch(
        "select max(accepted) < (select min(began) from replays where source = 'dead-letters') from readings"
    )
    assert late is True
    assert listed(refused) == {("ingest", "framing"): 1}
    assert listed(refused, "--handled") == OPEN
    assert dlq(refused, "redrive", "--all")["redriven"] == 0, "nothing is sent twice"
    who = refused.fetch("select source, state, copied from replays where copied > 0")
    assert who == [("dead-letters", "done", 1)] * 4

    # All that the log says, mended copies included, is stored.
    done = refused.run("replay", "readings", "--shadow", "--copies", "--json")
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout)
    assert (told["rows"], sum(told["poison"].values())) == ({"same": 5}, 5)

    # What nobody can mend is put away, and Kafka deletes it.
    assert kept(refused) == 5
    told = dlq(refused, "purge", "--device", "pump-9")
    assert told["purged"] == 1
    assert listed(refused) == {}
    assert dlq(refused, "purge", "--all", "--handled") == {
        "purged": 4,
        "deleted from Kafka": 5 - told["deleted from Kafka"],
    }
    assert kept(refused) == 0
    audited = refused.fetch("select action, detail->>'letters' from audit where action = 'dlq purged' order by at")
    assert audited == [("dlq purged", "1"), ("dlq purged", "4")]


def test_each_letter_goes_back_to_its_own_stage(flow: Flow) -> None:
    flow.start("worker", "--lane", "ingest", TIDEGATE_DATABASE__CONFLICT_POLICY="first")
    flow.start("worker", "--lane", "analyze")
    publish(
        flow, [Outgoing(READINGS.name, b"pump-1", encode(reading("pump-1", pressure=value))) for value in (1.0, 2.0)]
    )
    publish(flow, [Outgoing(ANALYSIS_REQUESTS.name, b"pump-1", b"no request")])
    payload = json.dumps({"ts": START.isoformat(), "metrics": {"pressure": "high"}}).encode()
    letters, _ = of_mqtt("devices/pump-5/readings", payload, datetime.now(UTC))
    publish(flow, [Outgoing(one.topic, one.key, one.value) for one in letters] * 2)
    eventually(lambda: len(listed(flow)) == 3, "all are refused")
    assert listed(flow) == {("sink", "conflict"): 1, ("analyze", "framing"): 1, ("mqtt", "value"): 1}

    told = dlq(flow, "redrive", "--all")
    assert told["redriven"] == 0
    assert any("the first value stands" in why for why in told["stay"])
    told = dlq(flow, "redrive", "--stage", "mqtt", "--set", "metrics.pressure=9.5")
    assert told["to"] == {"mqtt → readings": 1}
    eventually(lambda: (("pump-5", "pressure", START, 9.5)) in flow.fetch(ROWS), "it is stored")

    # Where the last value stands, one that lost can be made to win.
    told = dlq(flow, "redrive", "--reason", "conflict", code=0)
    assert told["redriven"] == 0
    done = flow.run("dlq", "redrive", "--reason", "conflict", "--json", TIDEGATE_DATABASE__CONFLICT_POLICY="last")
    assert json.loads(done.stdout)["to"] == {"sink → readings": 1}
    # The worker goes by `first`, so it comes back, and that is said.
    eventually(lambda: ("sink", "conflict") in listed(flow), "it has come back")
    (group,) = dlq(flow, "list", "--stage", "sink")["groups"]
    assert (group["letters"], group["came_back"]) == (1, 1)


def test_what_is_asked_for_has_to_make_sense(refused: Flow) -> None:
    assert "--all" in dlq(refused, "redrive", code=2)
    assert "--all" in dlq(refused, "purge", "--all", "--reason", "key", code=2)
    assert "no expression" in dlq(refused, "list", "--where", "reason ==", code=2)
    assert "true or false" in dlq(refused, "list", "--where", "reason", code=2)
    assert "ts=accepted" in dlq(refused, "redrive", "--all", "--set", "ts", code=2)
    assert listed(refused, "--where", "detail.contains('finite') && metrics.pressure == 8.0") == {
        ("ingest", "not-finite"): 1
    }
    assert dlq(refused, "show", "no-such-id", code=1) == {"letters": []}
    # An erased device does not come back by its letters.
    erased = "insert into audit (who, action, detail) values ('me', 'erase device', %s::jsonb) returning 1"
    refused.fetch(erased, json.dumps({"device_id": "pump-2"}))
    told = dlq(refused, "redrive", "--reason", "key", "--set", "key=device_id")
    assert (told["redriven"], told["stay"]) == (0, {"ingest: its device was erased": 1})
    people = refused.run("dlq", "list")
    assert "ingest" in people.stdout
    assert "letters" in people.stdout


def test_a_worker_that_stops_for_poison_is_seen_until_somebody_has_gone_on(flow: Flow) -> None:
    rubbish = [Outgoing(READINGS.name, b"pump-%d" % number, b"rubbish") for number in range(200)]
    worker = flow.start("worker", "--lane", "ingest")
    publish(flow, rubbish)
    assert worker.popen.wait(60) == 1
    assert "TIDEGATE_INGEST__POISON_LIMIT" in worker.log.read_text()
    ((topic, partition, reasons),) = {
        (one["topic"], one["partition"], tuple(one["reasons"]))
        for one in json.loads(flow.run("status", "--json").stdout)["poison_alarms"]
    }
    assert (topic, partition in range(READINGS.partitions), reasons) == ("readings", True, ("framing",))
    assert "ALARM" in flow.run("status").stderr
    assert listed(flow) == {}

    flow.start("worker", "--lane", "ingest", TIDEGATE_INGEST__POISON_LIMIT="1")
    eventually(flow.drained, "all of it is passed")
    assert listed(flow) == {("ingest", "framing"): 200}
    assert json.loads(flow.run("status", "--json").stdout)["poison_alarms"] == []
