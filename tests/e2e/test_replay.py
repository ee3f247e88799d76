"""`tidegate replay` on real servers: what is stored stays as it is, and what was lost comes back."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import consumer
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Outgoing, Producer
from connectors.timescale.connection import connect
from schemas.codec import decode, encode
from schemas.models import Reading
from schemas.origin import headers, origin_of, place
from schemas.topics import READINGS
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
DEVICES = [f"pump-{number}" for number in range(10)]
TABLE = "select device_id, metric, ts, value, accepted from readings order by 1, 2, 3"


def reading(device: str, second: int, value: float | None = None) -> Reading:
    return Reading(
        device_id=device,
        ts=START + timedelta(seconds=second),
        metrics={"pressure": 5.0 + second % 7 if value is None else value},
    )


def replay(flow: Flow, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
    done = flow.run("replay", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def log_of(flow: Flow, topic: str) -> list[Any]:
    admin = Admin(flow.settings.kafka)
    names = [(topic, number) for number in range(admin.topics([topic])[topic].partitions)]
    return [one for chunk in consumer.read(flow.settings.kafka, admin.bounds(names)) for one in chunk.records]


def test_a_replay_changes_nothing_that_is_stored_whichever_reading_wins(flow: Flow) -> None:
    worker = flow.start("worker", "--lane", "ingest", TIDEGATE_DATABASE__CONFLICT_POLICY="last")
    flow.produce([reading(device, second) for second in range(100) for device in DEVICES])
    # Of one instant two values: the later one stands, and must stand after the earlier one has come again.
    flow.produce([reading("pump-1", 500, 1.0)])
    flow.produce([reading("pump-1", 500, 2.0)])
    eventually(flow.drained, "readings are stored")
    before = flow.fetch(TABLE)
    assert len(before) == 1_001
    assert [row[3] for row in before if row[2] == START + timedelta(seconds=500)] == [2.0]

    counted = replay(flow, "readings", "--dry-run")
    assert counted["records"] == 1_002
    assert sum(counted["partitions"].values()) == sum(one["records"] for one in counted["times"]) == 1_002
    one = replay(flow, "readings", "--device", "pump-1", "--where", "metrics.pressure < 1.5", "--rate", "1000")
    assert one["copied"] == 1
    eventually(flow.drained, "the copy is looked at")
    assert flow.fetch(TABLE) == before

    told = replay(flow, "readings")
    assert (told["copied"], told["left out"]) == (1_002, {"copies of an earlier replay": 1})
    eventually(flow.drained, "copies are looked at")
    assert flow.fetch(TABLE) == before
    # Each copy says what it is a copy of.
    records = log_of(flow, "readings")
    originals = {(one.partition(), one.offset()): one for one in records if one.headers() is None}
    copies = [one for one in records if one.headers() is not None]
    assert len(originals) == 1_002
    assert len(copies) == 1_003
    for copy in copies:
        origin = origin_of(copy.headers())
        assert origin is not None
        original = originals[origin.partition, origin.offset]
        assert (original.key(), original.value(), original.timestamp()[1]) == (
            copy.key(),
            copy.value(),
            origin.accepted_ms,
        )
    # Who ran what.
    assert flow.fetch("select source, target, state, copied from replays order by began") == [
        ("readings", "readings", "done", 1),
        ("readings", "readings", "done", 1_002),
    ]
    audited = flow.fetch("select action, count(*), count(distinct detail->>'replay') from audit group by 1 order by 1")
    assert audited == [("replay", 2, 2), ("replay done", 2, 2)]
    assert worker.terminate() == 0


def test_what_only_claims_to_be_a_copy_is_a_record_like_others(flow: Flow) -> None:
    flow.start("worker", "--lane", "ingest", TIDEGATE_DATABASE__CONFLICT_POLICY="first")
    flow.produce([reading("pump-1", 0, 1.0)])
    eventually(flow.drained, "it is stored")
    # Of a replay that there was, and of one that there was not; from before the one that stands.
    assert replay(flow, "readings", "--into", "copies")["copied"] == 1
    ((known,),) = flow.fetch("select id::text from replays")
    values = encode(reading("pump-1", 0, 2.0)), encode(reading("pump-1", 0, 3.0))
    origin = place(b"readings", 0, 0, 1_000)
    forged = [
        Outgoing(READINGS.name, b"pump-1", value, headers(replay_id.encode(), b"guess", origin, b"pump-1", value))
        for replay_id, value in zip((known, str(uuid.uuid4())), values, strict=True)
    ]
    producer = Producer(flow.settings.kafka)
    producer.publish(forged)
    producer.close()
    eventually(flow.drained, "they are looked at")
    assert [(row[3], row[4].year >= 2026) for row in flow.fetch(TABLE)] == [(1.0, True)]
    # A replay takes them along, and says the truth of them.
    assert replay(flow, "readings", "--into", "copies")["copied"] == 3
    origins = [origin_of(one.headers()) for one in log_of(flow, "copies")]
    assert len(origins) == 4
    assert all(one is not None and one.accepted_ms > 1_000 for one in origins)


def test_lost_rows_come_back_and_erased_ones_do_not(flow: Flow) -> None:
    flow.start("worker", "--lane", "ingest")
    flow.produce([reading(device, second) for second in range(20) for device in DEVICES])
    eventually(flow.drained, "readings are stored")
    before = flow.fetch(TABLE)
    flow.fetch("delete from readings where device_id in ('pump-3', 'pump-4') returning 1")
    flow.fetch(
        """insert into audit (who, action, detail)
        values ('somebody', 'erase device', '{"device_id": "pump-4"}') returning 1"""
    )
    told = replay(flow, "readings", "--key", "pump-[34]")
    assert (told["copied"], told["left out"]) == (20, {"not selected": 160, "of erased devices": 20})
    eventually(flow.drained, "copies are stored")
    assert flow.fetch(TABLE) == [row for row in before if row[0] != "pump-4"]


def test_a_replay_that_was_stopped_goes_on(flow: Flow, tmp_path: Path) -> None:
    flow.produce([reading(device, second) for second in range(300) for device in DEVICES])
    file = tmp_path / "checkpoint.json"
    running = subprocess.Popen(  # noqa: S603  # our own command
        [
            *(sys.executable, "-m", "streams.cli.main", "replay", "readings", "--into", "copies", "--rate", "500"),
            *("--checkpoint", str(file), "--json"),
        ],
        env=flow.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: file.exists() and json.loads(file.read_text())["copied"] > 0, "it has begun")
        # Paused, it stands; then it goes on.
        os.kill(running.pid, signal.SIGSTOP)
        stands = json.loads(file.read_text())["copied"]
        time.sleep(2)
        assert json.loads(file.read_text())["copied"] == stands
        os.kill(running.pid, signal.SIGCONT)
        eventually(lambda: json.loads(file.read_text())["copied"] > stands, "it goes on")
        os.kill(running.pid, signal.SIGINT)
        out, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 1
    first = json.loads(out)
    assert 0 < first["copied"] < 3_000
    assert f"--resume {file}" in said
    assert flow.fetch("select state from replays") == [("stopped",)]

    told = replay(flow, "--resume", str(file))
    assert told["copied"] == 3_000
    assert not file.exists()
    assert flow.fetch("select state, copied from replays") == [("done", 3_000)]
    copies = log_of(flow, "copies")
    # Each is there, one chunk at the most twice, and those of a device in order.
    assert len(copies) <= 3_000 + 50
    for device in DEVICES:
        seconds = [decode(one.value(), Reading).ts for one in copies if one.key() == device.encode()]
        assert sorted(set(seconds)) == [START + timedelta(seconds=n) for n in range(300)]
        assert [one for n, one in enumerate(seconds) if one not in seconds[:n]] == sorted(set(seconds))


def test_a_database_of_yesterday_is_said_to_be_one(flow: Flow) -> None:
    with connect(flow.settings.database, autocommit=True) as connection:
        connection.execute("drop table replays")
    done = flow.run("replay", "readings")
    assert (done.returncode, done.stdout) == (1, "")
    assert "tidegate db migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_makes_no_sense_is_refused(flow: Flow, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    for arguments, said in (
        (["nothing"], "no topic nothing"),
        (["insights"], "Nobody here works on insights"),
        (["insights", "--into", "readings"], "of another kind"),
        (["readings", "--offsets", "99:0-1"], "partitions 0 to"),
        (["readings", "--offsets", "x"], "3:100-200"),
        (["readings", "--offsets", "0:1-2", "--offsets", "0:5-6"], "each partition once"),
        (["readings", "--since", "yesterday"], "2h or 7d"),
        (["readings", "--where", "metrics."], "no expression of CEL"),
        (["--resume", str(other)], "not the checkpoint of a replay"),
        (["readings", "--resume", str(other)], "leave the topic out"),
        ([], "which topic?"),
    ):
        done = flow.run("replay", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert flow.fetch("select count(*) from replays") == [(0,)]
    assert replay(flow, "readings")["copied"] == 0
