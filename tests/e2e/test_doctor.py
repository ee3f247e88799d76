"""`tidegate doctor` on real servers: what is wrong is found, with what to do about it, and what it says helps."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from confluent_kafka import Producer as BareProducer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # some are exported at run time only
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from connectors.timescale.connection import connect
from schemas.codec import encode
from schemas.models import Reading
from schemas.topics import READINGS
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.mqtt, pytest.mark.timeout(300)]


def doctor(flow: Flow, *arguments: str, code: int) -> dict[str, dict[str, Any]]:
    done = flow.run("doctor", "--json", *arguments)
    assert "Traceback" not in done.stderr
    found = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    bad = {what for what, finding in found.items() if not finding["fine"]}
    assert done.returncode == (1 if bad else 0)
    # How the server's own jobs do is its own affair, where there are any.
    jobs = {what for what in bad if what.startswith("Database job ")}
    assert (1 if bad - jobs else 0) == code, bad
    return {what: finding for what, finding in found.items() if what not in jobs}


def test_all_is_well(flow: Flow) -> None:
    flow.start("worker", "--lane", "ingest")
    flow.start("worker", "--lane", "analyze")
    flow.produce([Reading(device_id=f"pump-{n}", ts=datetime.now(UTC), metrics={"t": 1.0}) for n in range(20)])
    eventually(flow.drained, "all is stored")
    found = doctor(flow, code=0)
    assert {
        *("Python", "Kafka", "topic readings", "readings partitioner", "device clocks", "Database", "Schema"),
        *("Database clock", "Redis", "Redis clock", "MQTT", "Models"),
    } <= found.keys()
    assert "20 records are where" in found["readings partitioner"]["seen"]
    assert found[f"group {flow.settings.kafka.group('ingest')}"]["seen"] == "1 members, 0 records behind"


@pytest.mark.apache_kafka
def test_what_is_wrong_is_found_and_cured(flow: Flow) -> None:
    # A producer with librdkafka's own partitioner, and a device whose clock is ahead.
    producer = BareProducer({"bootstrap.servers": flow.settings.kafka.bootstrap_servers, "partitioner": "consistent"})
    for number in range(20):
        reading = Reading(device_id=f"pump-{number}", ts=datetime.now(UTC) + timedelta(minutes=30), metrics={"t": 1.0})
        producer.produce(READINGS.name, encode(reading), reading.device_id.encode())
    producer.flush(30)
    # Topics that somebody has changed.
    admin = AdminClient({"bootstrap.servers": flow.settings.kafka.bootstrap_servers})
    changed = ConfigEntry("retention.ms", "1000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, READINGS.name, incremental_configs=[changed])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result()
    # A database that forgets, and somebody who holds it up.
    name = flow.fetch("select current_database()")[0][0]
    with connect(flow.settings.database, autocommit=True) as connection:
        connection.execute(f'alter database "{name}" set synchronous_commit = off'.encode())
    client = redis.Redis.from_url(flow.settings.redis.url.get_secret_value())
    before = str(client.config_get("maxmemory-policy")["maxmemory-policy"])
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        eventually(lambda: "topic readings settings" in doctor(flow, code=1), "the change is seen")
        found = doctor(flow, code=1)
    finally:
        client.config_set("maxmemory-policy", before)
        client.close()
    bad = {what for what, finding in found.items() if not finding["fine"]}
    group = flow.settings.kafka.group("ingest")
    assert bad == {
        *("topic readings settings", "readings partitioner", "device clocks", "Database synchronous_commit"),
        *("Redis eviction", f"group {group}"),
    }
    assert all(found[what]["cure"] for what in bad)
    assert "CRC32" in found["readings partitioner"]["seen"]
    assert "20 of 20 devices are ahead" in found["device clocks"]["seen"]
    assert "retention.ms is 1000000, and 604800000 is meant" in found["topic readings settings"]["seen"]
    assert found[f"group {group}"]["cure"] == "No worker runs: tidegate worker"

    # What it says helps.
    assert flow.run("topics", "apply", "--settings").returncode == 0
    flow.start("worker", "--lane", "ingest")
    eventually(flow.drained, "all is stored")
    deadline = time.monotonic() + 60
    while (left := {what for what, one in doctor(flow, code=1).items() if not one["fine"]}) & bad - {
        *("readings partitioner", "device clocks", "Database synchronous_commit")
    }:
        assert time.monotonic() < deadline, left


def test_settings_are_explained(flow: Flow) -> None:
    done = flow.run("doctor", "--explain", "--json")
    assert done.returncode == 0, done.stderr
    told = {one["name"]: one for one in json.loads(done.stdout)["settings"]}
    assert told["TIDEGATE_DATABASE__URL"] == {
        "name": "TIDEGATE_DATABASE__URL",
        "value": "********",
        "source": "TIDEGATE_DATABASE__URL",
    }
    assert told["TIDEGATE_INGEST__BATCH_RECORDS"]["source"] == "default"
    people = flow.run("doctor", "--explain")
    assert "TIDEGATE_INGEST__BATCH_RECORDS" in people.stdout
    assert flow.run("doctor", "--explain", "--no-calls").returncode == 2
