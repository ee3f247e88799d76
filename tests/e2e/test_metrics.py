"""What the parts of the flow tell Prometheus while readings go through: it is declared, and it is true."""

import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.declaring import DECLARED
from connectors.embedded import ports
from connectors.kafka.producer import Outgoing, Producer
from schemas.models import Reading
from schemas.topics import READINGS
from streams.lane.app import FAUST
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.mqtt, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
LABELS = {name: set(one.labels) | {"le"} for one in DECLARED for name in one.series}
OWN = (FAUST, "python_", "process_")


def samples(port: int) -> Iterator[tuple[str, dict[str, str], float]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:  # our own
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if not one.name.endswith("_created"):
                yield one.name, one.labels, one.value


def value(port: int, name: str, **labels: str) -> float:
    return sum(found for series, has, found in samples(port) if series == name and labels.items() <= has.items())


def test_what_is_told_is_declared_and_true(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports.free()
    while any(not ports.is_free(first + more) for more in range(4)):
        first = ports.free()
    monkeypatch.setenv("TIDEGATE_METRICS__PORT", str(first))
    monkeypatch.setenv("TIDEGATE_HTTP__PORT", str(ports.free()))
    ingest = flow.start("worker", "--lane", "ingest")
    for part in (("worker", "--lane", "analyze"), ("bridge",), ("gateway",)):
        flow.start(*part)
    ingest_port, analyze_port, bridge_port, gateway_port = range(first, first + 4)

    quiet = [
        Reading(device_id="pump-1", ts=START + timedelta(seconds=second), metrics={"pressure": 5.0 + second % 7 / 10})
        for second in range(400)
    ]
    leap = Reading(device_id="pump-1", ts=START + timedelta(seconds=400), metrics={"pressure": 90.0})
    flow.produce([*quiet, leap])
    producer = Producer(flow.settings.kafka)
    producer.publish([Outgoing(READINGS.name, b"pump-9", b"rubbish")])
    producer.close()
    table = tmp_path / "pump-2.csv"
    table.write_text("timestamp,value\n2026-03-01 00:00:00,1.0\n2026-03-01 00:00:01,2.0\n")
    assert flow.run("publish", str(table), "--via", "mqtt", "--metric", "pressure").returncode == 0
    eventually(lambda: flow.drained() and bool(flow.fetch("select 1 from insights")), "all is stored and explained")
    eventually(lambda: flow.fetch("select count(*) from readings") == [(403,)], "what came over MQTT is stored, too")
    eventually(lambda: flow.drained("analyze"), "the group is done")

    for port in range(first, first + 4):
        for name, labels, _ in samples(port):
            if not name.startswith(OWN):
                assert name in LABELS, f"{name} is not declared"
                assert set(labels) <= LABELS[name], name
        assert value(port, "tidegate_build_info") == 1
    assert value(ingest_port, "tidegate_records_total", outcome="stored") == 403
    assert value(ingest_port, "tidegate_poison_total", stage="ingest", reason="framing") == 1
    assert value(ingest_port, "tidegate_stored_after_seconds_count") >= 1
    assert value(ingest_port, "faust_total_events_total") >= 1
    assert value(ingest_port, "tidegate_batches_in_hand") == 0
    ((alarms,),) = flow.fetch("select count(*) from insights")
    assert value(analyze_port, "tidegate_answers_total", by="rules") == alarms
    assert value(analyze_port, "tidegate_explained_after_seconds_count", kind="alarm") == alarms
    assert value(bridge_port, "tidegate_mqtt_connected") == 1
    for outcome in ("received", "acknowledged"):
        assert value(bridge_port, "tidegate_mqtt_messages_total", outcome=outcome) == 2

    # What is left undone shows though nobody is there to do it.
    assert ingest.terminate() == 0
    flow.produce(quiet[:50])
    eventually(lambda: value(gateway_port, "tidegate_group_lag_records", topic="readings") == 50, "the gateway sees it")
    assert value(gateway_port, "tidegate_topic_records", topic="dead-letters") == 1
    assert value(gateway_port, "tidegate_flow_seen_timestamp_seconds") > START.timestamp()
