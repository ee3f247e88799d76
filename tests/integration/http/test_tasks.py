"""Asking over HTTP: kept in Kafka before it is accepted, seen in the table until it is answered."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from pydantic import SecretStr

from connectors.errors import SlowDownError
from connectors.http.parts import Parts
from connectors.kafka.admin import Admin
from connectors.kafka.settings import KafkaSettings
from connectors.timescale.connection import connect
from connectors.timescale.desk import Desk
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.tasks import Postponed
from schemas.codec import decode
from schemas.models import AnalysisRequest
from tests.integration.http.conftest import Answer, Client

pytestmark = [pytest.mark.kafka, pytest.mark.database]

Start = Callable[[Parts], Client]

ASKED = {
    "device_id": "pump-7",
    "metric": "t",
    "question": "Is it hot?",
    "from": "2026-03-01T12:00:00",
    "to": "2026-03-01T13:00:00Z",
}


@pytest.fixture
def asking(parts: Parts) -> Parts:
    return replace(parts, requests=parts.topic, region="eu")


def ask(client: Client, body: object, content_type: str = "application/json") -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.request("POST", "/v1/tasks", data, {"Content-Type": content_type})


def requests(kafka: KafkaSettings, topic: str) -> list[AnalysisRequest]:
    bounds = Admin(kafka).bounds([(topic, 0), (topic, 1)])
    expected = sum(bound.end - bound.start for bound in bounds.values())
    consumer = Consumer({**kafka.client(), "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, bound.start) for (_, number), bound in bounds.items()])
    found: list[AnalysisRequest] = []
    while len(found) < expected:
        message = consumer.poll(10)
        assert message is not None
        found.append(decode(message.value() or b"", AnalysisRequest))
        assert message.key() == found[-1].device_id.encode()
    consumer.close()
    return found


def add_reading(database: DatabaseSettings, metric: str) -> None:
    with connect(database, autocommit=True) as connection:
        connection.execute("insert into readings values (now(), 'pump-7', %s, 1.0, now())", (metric,))


def test_a_question_is_in_kafka_and_can_be_followed(
    start: Start, asking: Parts, kafka: KafkaSettings, database: DatabaseSettings
) -> None:
    client = start(asking)
    answer = ask(client, ASKED)
    assert answer.status == 202
    task_id = answer.json["task_id"]
    assert answer.json == {"task_id": task_id, "state": "queued"}
    assert answer.headers["location"] == f"/v1/tasks/{task_id}"
    (request,) = requests(kafka, asking.requests)
    assert (request.id, request.region, request.kind, request.topic) == (task_id, "eu", "question", "")
    assert (request.question, request.metric) == ("Is it hot?", "t")

    queued = client.get(answer.headers["location"])
    assert (queued.status, queued.headers["retry-after"]) == (200, "1")
    assert queued.json == {
        "task_id": task_id,
        "state": "queued",
        "device_id": "pump-7",
        "metric": "t",
        "question": "Is it hot?",
        "conversation_id": None,
        "from": "2026-03-01T12:00:00Z",
        "to": "2026-03-01T13:00:00Z",
        "attempts": 0,
        "created": queued.json["created"],
        "started": None,
        "updated": queued.json["created"],
        "finished": None,
        "error": None,
        "cost_usd": None,
        "insight": None,
    }
    store = Store(database)
    store.begin_tasks([request], datetime.now(UTC))
    store.close()
    running = client.get(answer.headers["location"]).json
    assert (running["state"], running["attempts"]) == ("running", 1)
    assert running["updated"] > running["created"]


def test_what_waits_for_a_model_says_since_how_many_attempts_and_until_when(
    start: Start, asking: Parts, kafka: KafkaSettings, database: DatabaseSettings
) -> None:
    client = start(asking)
    path = ask(client, ASKED).headers["location"]
    (request,) = requests(kafka, asking.requests)
    due = datetime(2026, 3, 1, 12, 0, 4, 500_000, tzinfo=UTC)
    store = Store(database)
    store.begin_tasks([request], due)
    store.postpone_tasks([Postponed(request, since=due, due=due)], due)
    waiting = client.get(path)
    assert (waiting.json["state"], waiting.json["attempts"]) == ("retrying", 1)
    assert waiting.json["due"] == "2026-03-01T12:00:04.500000Z"
    assert waiting.headers["retry-after"] == "1"
    store.queue_due_tasks(due, lambda _: None)
    store.close()
    queued = client.get(path).json
    assert queued["state"] == "queued"
    assert "due" not in queued


def test_by_default_it_is_about_the_last_hour(start: Start, asking: Parts, kafka: KafkaSettings) -> None:
    ask(start(asking), {"device_id": "pump-7", "metric": "t", "question": "How is it?"})
    (request,) = requests(kafka, asking.requests)
    assert request.window_end - request.window_start == timedelta(hours=1)
    assert abs(datetime.now(UTC) - request.window_end) < timedelta(minutes=1)


def test_the_only_metric_need_not_be_named(
    start: Start, asking: Parts, kafka: KafkaSettings, database: DatabaseSettings
) -> None:
    client = start(asking)
    unnamed = {name: value for name, value in ASKED.items() if name != "metric"}
    unknown = ask(client, unnamed)
    assert (unknown.status, unknown.json["error"]) == (404, "unknown")
    add_reading(database, "pressure")
    assert ask(client, unnamed).status == 202
    assert [request.metric for request in requests(kafka, asking.requests)] == ["pressure"]
    add_reading(database, "flow")
    several = ask(client, unnamed)
    assert (several.status, several.json["error"], several.json["metrics"]) == (422, "metric", ["flow", "pressure"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device_id": "a/b"}, "device_id"),
        ({"device_id": 7}, "device_id"),
        ({"metric": ""}, "metric"),
        ({"question": "  "}, "question"),
        ({"question": "x" * 1001}, "question"),
        ({"question": "a\x00"}, "question"),
        ({"conversation_id": ""}, "conversation_id"),
        ({"conversation_id": "a b"}, "conversation_id"),
        ({"conversation_id": "x" * 65}, "conversation_id"),
        ({"from": "yesterday"}, "from"),
        ({"to": True}, "to"),
        ({"from": "2026-03-01T13:00:00Z"}, "before to"),
        ({"from": "2026-01-01T00:00:00Z"}, "31 days"),
        ({"from": "2999-01-01T00:00:00Z", "to": "2999-01-01T01:00:00Z"}, "future"),
        ({"from": None, "to": "0001-01-01T00:00:00Z"}, "to"),
        ({"not_before": "2999-01-01T00:00:00Z"}, "not_before"),
        ({"expires": "2026-03-01T14:00:00Z"}, "expires"),
        ({"not_before": "soon"}, "not_before"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_question_is_refused_with_the_field(
    start: Start, asking: Parts, kafka: KafkaSettings, change: dict[str, Any], said: str
) -> None:
    answer = ask(start(asking), {**ASKED, **change})
    assert answer.status == 422
    assert said in answer.json["detail"]
    assert requests(kafka, asking.requests) == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"\xff", "application/json", 422),
        (json.dumps(ASKED).encode(), "text/plain", 415),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
    ],
)
def test_other_bodies_are_refused(start: Start, asking: Parts, body: bytes, content_type: str, status: int) -> None:
    answer = ask(start(asking), body, content_type)
    assert (answer.status, set(answer.json)) == (status, {"error", "detail"})


def test_a_task_that_nobody_knows(start: Start, asking: Parts) -> None:
    client = start(asking)
    assert client.get("/v1/tasks/6f1c7d3e-5a53-5c0b-9a0e-7469646567a7").status == 404
    assert client.get("/v1/tasks/x").status == 422


def test_without_kafka_nothing_is_accepted(start: Start, asking: Parts, database: DatabaseSettings) -> None:
    class Full:
        def send(self, *_record: object, **_report: object) -> None:
            raise SlowDownError

    answer = ask(start(replace(asking, producer=Full())), ASKED)
    assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (429, "busy", "1")
    with connect(database) as connection:
        assert connection.execute("select count(*) from tasks").fetchone() == (0,)


def test_without_a_database_a_question_is_kept_all_the_same(start: Start, asking: Parts, kafka: KafkaSettings) -> None:
    url = SecretStr("postgresql://someone:secret@127.0.0.1:1/nothing")
    client = start(replace(asking, desk=Desk(DatabaseSettings(url=url, connect_timeout_s=0.5))))
    answer = ask(client, ASKED)
    assert answer.status == 202
    assert len(requests(kafka, asking.requests)) == 1
    looked = client.get(answer.headers["location"])
    assert (looked.status, looked.json["error"]) == (503, "unavailable")
