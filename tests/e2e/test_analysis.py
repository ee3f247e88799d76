"""From readings to insights: by a model where there is one, in the topic that others consume and in the table."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from confluent_kafka import Consumer

from connectors.kafka.producer import Outgoing, Producer
from schemas.codec import decode, encode
from schemas.fields import Source
from schemas.models import DeadLetter, Insight, Reading, Record
from schemas.topics import DEAD_LETTERS, INSIGHTS, Topic
from tests.e2e.conftest import Flow, eventually
from tests.fakes.stand_in import StandIn

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

R = TypeVar("R", bound=Record)

START = datetime(2026, 1, 1, tzinfo=UTC)


def jump(device: str) -> list[Reading]:
    """A steady series that jumps at its end."""
    return [
        Reading(
            device_id=device,
            ts=START + timedelta(seconds=step),
            metrics={"pressure": 5.0 + (step % 7) / 10 + (9.0 if step > 390 else 0.0)},
            units={"pressure": "bar"},
            tags={"class": "pump"},
        )
        for step in range(400)
    ]


def consumed(flow: Flow, topic: Topic, model: type[R], count: int) -> list[R]:
    """Read a topic as a service downstream would."""
    consumer = Consumer(
        {
            "bootstrap.servers": flow.settings.kafka.bootstrap_servers,
            "group.id": f"{flow.settings.kafka.group_prefix}-downstream",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic.name])
    found: list[R] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            found.append(decode(message.value() or b"", model))
    consumer.close()
    return found


def test_a_model_explains_what_the_detectors_found(flow: Flow, stand_in: StandIn) -> None:
    endpoints = [{"name": "stand-in", "base_url": stand_in.url, "api_key": "secret-key", "model": "test-1"}]
    worker = flow.start("worker", "--lane", "analyze", TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    flow.start("worker", "--lane", "ingest")
    flow.produce([reading for device in ("pump-1", "pump-2") for reading in jump(device)])
    eventually(lambda: flow.fetch("select count(*) from insights") == [(2,)], "two insights are stored")
    found = {insight.device_id: insight for insight in consumed(flow, INSIGHTS, Insight, 2)}
    assert set(found) == {"pump-1", "pump-2"}
    insight = found["pump-1"]
    assert insight.source is Source.MODEL
    assert (insight.metric, insight.first_offset >= 0) == ("pressure", True)
    assert insight.window_end <= START + timedelta(seconds=400)
    assert flow.fetch("select source, model, prompt_tokens > 0 from insights where device_id = 'pump-1'") == [
        ("model", "test-1-stand-in", True)
    ]
    assert flow.fetch("select class, units from devices where device_id = 'pump-1'") == [("pump", {"pressure": "bar"})]
    assert "secret-key" not in worker.log.read_text()


def test_an_endpoint_that_is_away_costs_no_answer(flow: Flow, stand_in: StandIn) -> None:
    away = {"name": "away", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "model": "test-1", "weight": 100}
    endpoints = [away, {"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}]
    flow.start("worker", "--lane", "analyze", TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    flow.start("worker", "--lane", "ingest")
    flow.produce([reading for number in range(10) for reading in jump(f"pump-{number}")])
    eventually(lambda: flow.fetch("select count(*) from insights") == [(10,)], "ten insights are stored")
    assert flow.fetch("select distinct source from insights") == [("model",)]


def test_readings_go_on_while_every_model_hangs(flow: Flow, stand_in: StandIn) -> None:
    stand_in.queue(*["hang"] * 100)
    endpoints = [{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}]
    analyze = flow.start("worker", "--lane", "analyze", TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    flow.start("worker", "--lane", "ingest")
    flow.produce(jump("pump-1"))
    eventually(stand_in.started, "the model was asked")
    flow.produce([reading.model_copy(update={"device_id": "pump-9"}) for reading in jump("x")])
    eventually(flow.drained, "readings are stored")
    assert flow.fetch("select count(*) from readings") == [(800,)]
    assert flow.fetch("select count(*) from insights") == [(0,)]
    assert analyze.terminate() == 0
    assert flow.lag()["analyze"] > 0  # nothing was passed over: the next owner asks again


def test_a_record_that_cannot_be_used_is_kept_as_it_came(flow: Flow) -> None:
    flow.start("worker", "--lane", "ingest")
    good, bad = encode(jump("pump-1")[0]), [b"\x00rubbish", b"\x01" * 1_000_000]
    producer = Producer(flow.settings.kafka)
    producer.publish([Outgoing("readings", b"pump-1", value) for value in (good, *bad)])
    producer.close()
    eventually(flow.drained, "all are done with")
    assert flow.fetch("select count(*) from readings") == [(1,)]
    assert flow.fetch("select sum(stored)::int, sum(poison)::int from sink_offsets") == [(1, 2)]
    letters = consumed(flow, DEAD_LETTERS, DeadLetter, 2)
    assert [letter.value for letter in letters] == bad
    assert {(letter.key, letter.reason, letter.topic) for letter in letters} == {
        (b"pump-1", "schema", "readings"),
        (b"pump-1", "framing", "readings"),
    }
    assert [letter.offset for letter in letters] == [1, 2]
