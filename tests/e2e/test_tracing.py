"""A reading is followed from MQTT through Kafka to its insight, and a question from HTTP: one trace each."""

import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from connectors.embedded import ports
from connectors.kafka import consumer
from connectors.kafka.admin import Admin
from schemas.topics import INSIGHTS
from tests.e2e.conftest import Flow, eventually
from tests.fakes.receiver import Receiver, receiver

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.mqtt, pytest.mark.timeout(300)]


@dataclass
class Span:
    part: str
    name: str
    trace: str
    id: str
    parent: str
    facts: dict[str, object]


def spans(collector: Receiver) -> list[Span]:
    found = []
    for told in collector.told:
        assert told.path.endswith("/v1/traces")
        for resource in ExportTraceServiceRequest.FromString(told.body).resource_spans:
            (part,) = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
            for one in (span for scope in resource.scope_spans for span in scope.spans):
                facts = {fact.key: getattr(fact.value, fact.value.WhichOneof("value")) for fact in one.attributes}
                ids = (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex())
                found.append(Span(part, one.name, *ids, facts))
    return found


def test_a_trace_leads_from_the_door_to_the_insight(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = ports.free()
    with receiver() as collector:
        base = collector.url.partition("/hook")[0]
        for name, value in {
            "TIDEGATE_TRACING__ENDPOINT": base,
            "TIDEGATE_TRACING__SAMPLE": "1",
            "TIDEGATE_HTTP__PORT": str(port),
            # How often spans are sent.
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }.items():
            monkeypatch.setenv(name, value)
        parts = (("worker", "--lane", "ingest"), ("worker", "--lane", "analyze"), ("bridge",), ("gateway",))
        processes = [flow.start(*part) for part in parts]
        table = tmp_path / "pump-1.csv"
        rows = [f"2026-03-01 00:{n // 60:02}:{n % 60:02},{5.0 + n % 7 / 10}" for n in range(400)]
        table.write_text("\n".join(["timestamp,value", *rows, "2026-03-01 01:00:00,90.0"]) + "\n")
        assert flow.run("publish", str(table), "--via", "mqtt", "--metric", "pressure").returncode == 0
        eventually(lambda: bool(flow.fetch("select 1 from insights")) and flow.drained("analyze"), "it is explained")
        asked = urllib.request.Request(  # our own gateway
            f"http://127.0.0.1:{port}/v1/tasks",
            json.dumps({"device_id": "pump-1", "question": "Is it well?"}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310  # the same
            task = json.load(answer)["task_id"]
        eventually(
            lambda: flow.fetch("select state from tasks where id = %s", task) == [("succeeded",)], "it is answered"
        )
        for process in processes:
            assert process.terminate() == 0  # what is left is sent at the end
        time.sleep(0.2)
        found = spans(collector)

    by_id = {one.id: one for one in found}

    def way(last: Span) -> list[tuple[str, str]]:
        steps = [last]
        while steps[-1].parent:
            steps.append(by_id[steps[-1].parent])
        assert len({one.trace for one in steps}) == 1
        return [(one.part.removeprefix("tidegate-"), one.name) for one in reversed(steps)]

    ways = {(one.facts.get("task"), tuple(way(one))) for one in found if one.name == "analyze"}
    alarms = {request for (request,) in flow.fetch("select request_id::text from insights where kind <> 'question'")}
    from_mqtt = (("bridge", "mqtt message"), ("ingest", "ingest"), ("analyze", "analyze"))
    assert alarms
    from_http = (("gateway", "http question"), ("analyze", "analyze"))
    assert ways == {(one, from_mqtt) for one in alarms} | {(task, from_http)}
    explained = {one.facts["insight"] for one in found if one.name == "analyze"}
    assert explained == {one for (one,) in flow.fetch("select id::text from insights")}
    (step, *_) = [one for one in found if one.name == "ingest"]
    assert step.facts["topic"] == "readings"
    # Who reads insights may go on.
    admin = Admin(flow.settings.kafka)
    log = admin.bounds((INSIGHTS.name, number) for number in range(INSIGHTS.partitions))
    records = [one for chunk in consumer.read(flow.settings.kafka, log) for one in chunk.records]
    traced = {str(dict(one.headers() or ())["traceparent"]).split("-")[1] for one in records}
    assert traced == {one.trace for one in found if one.name == "analyze"}
