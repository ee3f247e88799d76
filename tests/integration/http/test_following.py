"""Tasks are waited for, followed, called off, and handed in once for each key."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.clock import SystemClock
from connectors.http import follow
from connectors.http.parts import Parts
from connectors.kafka.settings import KafkaSettings
from connectors.redis.bell import Bell
from connectors.redis.results import Results
from connectors.redis.settings import RedisSettings
from connectors.timescale.desk import Desk
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from schemas.fields import Source, deterministic_id
from schemas.instants import to_text
from schemas.models import AnalysisRequest, Insight
from streams.prompts.insight import Origin, insight
from streams.prompts.rules import explain
from tests.fakes.own_valkey import OwnValkey
from tests.integration.http.conftest import Answer, Client
from tests.integration.http.test_tasks import ASKED, Start, ask, requests

pytestmark = [pytest.mark.kafka, pytest.mark.database]

NOW = datetime.now(UTC)


@pytest.fixture
def asking(parts: Parts) -> Parts:
    return replace(parts, requests=parts.topic)


@pytest.fixture
def store(database: DatabaseSettings) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


def answered(store: Store, request: AnalysisRequest) -> Insight:
    told = insight(request, explain(request), Origin(source=Source.RULES, created=NOW, latency_s=1.0, cost_usd=0.25))
    store.begin_tasks([request], NOW)
    store.store_insights([told])
    store.finish_tasks([(request.id, told.id)], NOW)
    return told


def keyed(client: Client, key: str, **changes: object) -> Answer:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return client.request("POST", "/v1/tasks", json.dumps({**ASKED, **changes}).encode(), headers)


class Events:
    """What a server sends, as a browser reads it."""

    def __init__(self, client: Client, path: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", client.port, timeout=20)
        self._connection.request("GET", path)
        self.response: HTTPResponse = self._connection.getresponse()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        name = ""
        for line in iter(self.response.readline, b""):
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)

    def close(self) -> None:
        self._connection.close()


def test_a_key_is_one_task_however_often_it_is_sent(
    start: Start, asking: Parts, kafka: KafkaSettings, store: Store
) -> None:
    client = start(asking)
    first, again, other = keyed(client, "k-1"), keyed(client, "k-1"), keyed(client, "k-2")
    assert first.status == again.status == other.status == 202
    assert first.json == again.json
    assert first.json["task_id"] != other.json["task_id"]
    asked = requests(kafka, asking.requests)
    assert len(asked) == 2
    answered(store, next(one for one in asked if one.id == first.json["task_id"]))
    assert keyed(client, "k-1").json == {**first.json, "state": "succeeded"}
    for changes in ({"question": "Why?"}, {"device_id": "pump-8"}, {"to": "2026-03-01T12:30:00Z"}, {"metric": "u"}):
        changed = keyed(client, "k-1", **changes)
        assert (changed.status, changed.json["error"]) == (422, "key")
    assert len(requests(kafka, asking.requests)) == 2
    for key in ("", "a b", "x" * 256):
        assert keyed(client, key).status == 400


def test_a_key_means_the_same_while_the_database_is_away(start: Start, asking: Parts, kafka: KafkaSettings) -> None:
    away = DatabaseSettings(url=SecretStr("postgresql://someone@127.0.0.1:1/nothing"), connect_timeout_s=0.3)
    client = start(replace(asking, desk=Desk(away)))
    assert keyed(client, "k-1").json == keyed(client, "k-1").json
    assert {one.id for one in requests(kafka, asking.requests)} == {deterministic_id("task", "", "k-1")}


def test_two_regions_never_give_two_tasks_the_same_id(start: Start, asking: Parts) -> None:
    ids = {keyed(start(replace(asking, region=region)), "k-1").json["task_id"] for region in ("", "us", "eu")}
    assert len(ids) == 3


def test_the_naive_route_answers_at_once_too(start: Start, asking: Parts, kafka: KafkaSettings) -> None:
    client = start(asking)
    headers = {"Content-Type": "application/json"}
    for body in ({"metric": "t"}, {"metric": "t", "question": "Is it hot?"}):
        answer = client.request("POST", "/analyze/pump-7", json.dumps(body).encode(), headers)
        assert (answer.status, set(answer.json)) == (202, {"task_id", "state"})
        assert client.get(answer.headers["location"]).json["device_id"] == "pump-7"
    questions = {one.question for one in requests(kafka, asking.requests)}
    assert questions == {"Is it hot?", "Is anything unusual, and why?"}
    for path, wrong in (
        ("pump-7", b"[]"),
        ("pump-7", b"{"),
        ("pump-7", b'{"more": 1}'),
        ("a%2Fb", b"{}"),
        ("a+b", b"{}"),
    ):
        assert client.request("POST", f"/analyze/{path}", wrong, headers).status in {404, 422}


def test_what_is_called_off_stays_so_and_what_has_an_answer_keeps_it(
    start: Start, asking: Parts, kafka: KafkaSettings, store: Store
) -> None:
    client = start(asking)
    path = ask(client, ASKED).headers["location"]
    (request,) = requests(kafka, asking.requests)
    for _ in range(2):
        cancelled = client.request("DELETE", path)
        assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
        assert cancelled.json["finished"] is not None
    answered(store, request)
    assert client.get(path).json["state"] == "cancelled"

    path = ask(client, ASKED).headers["location"]
    asked = next(one for one in requests(kafka, asking.requests) if one.id != request.id)
    answered(store, asked)
    refused = client.request("DELETE", path)
    assert (refused.status, refused.json["error"], refused.json["state"]) == (409, "ended", "succeeded")
    assert client.request("DELETE", "/v1/tasks/6f1c7d3e-5a53-5c0b-9a0e-7469646567a7").status == 404


def test_what_is_to_wait_says_so(start: Start, asking: Parts, kafka: KafkaSettings, store: Store) -> None:
    client = start(asking)
    times = {"not_before": to_text(NOW + timedelta(hours=1)), "expires": to_text(NOW + timedelta(hours=2))}
    answer = ask(client, {"device_id": "pump-7", "metric": "t", "question": "How was it?", **times})
    (request,) = requests(kafka, asking.requests)
    assert (request.not_before, request.expires) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))
    assert (request.window_start, request.window_end) == (NOW, NOW + timedelta(hours=1)), "the hour before it is asked"
    store.defer_tasks([(request, NOW + timedelta(hours=1))], NOW)
    view = client.get(answer.headers["location"]).json
    assert (view["state"], view["due"]) == ("queued", times["not_before"])
    assert {name: view[name] for name in times} == times
    store.fail_tasks([(request, "expired")], NOW)
    view = client.get(answer.headers["location"]).json
    assert (view["state"], view["error"], view["insight"]) == ("failed", "expired", None)


@pytest.fixture
def with_redis(asking: Parts, own_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> Parts:
    # The store does not ring: here it is looked at, as if a ring had been lost.
    monkeypatch.setattr(follow, "SELDOM_S", 0.2)
    settings = RedisSettings(url=SecretStr(own_valkey.url))
    bell, results = Bell(settings), Results(settings, SystemClock(), kept_s=100)
    return replace(asking, bell=bell, results=results, beside=(bell, results))


@pytest.mark.redis
@pytest.mark.parametrize("rings", [True, False])
def test_whoever_waits_is_told_when_it_has_ended(  # fixtures
    start: Start, with_redis: Parts, asking: Parts, kafka: KafkaSettings, store: Store, *, rings: bool
) -> None:
    client = start(with_redis if rings else asking)
    path = ask(client, ASKED).headers["location"]
    (request,) = requests(kafka, asking.requests)
    began = time.monotonic()
    still = client.get(f"{path}?wait=0.3")
    assert (still.json["state"], still.headers["retry-after"]) == ("queued", "1")
    assert time.monotonic() - began >= 0.3
    threading.Timer(0.3, lambda: answered(store, request)).start()
    told = client.get(f"{path}?wait=15")
    assert (told.json["state"], told.json["cost_usd"]) == ("succeeded", 0.25)
    assert told.json["insight"]["request_id"] == request.id
    assert client.get(f"{path}?wait=61").status == 422


@pytest.mark.redis
def test_each_change_is_an_event_until_the_end(
    start: Start, with_redis: Parts, kafka: KafkaSettings, store: Store
) -> None:
    client = start(with_redis)
    path = ask(client, ASKED).headers["location"]
    (request,) = requests(kafka, with_redis.requests)
    events = Events(client, f"{path}/events")
    assert events.response.getheader("content-type", "").startswith("text/event-stream")
    seen = iter(events)
    assert [part["state"] if isinstance(part, dict) else part for part in next(seen)] == ["task", "queued"]
    store.begin_tasks([request], NOW)
    assert next(seen)[1]["state"] == "running"
    told = answered(store, request)
    states = [view for _, view in seen]
    assert [view["state"] for view in states][-1] == "succeeded"
    assert states[-1]["insight"]["id"] == told.id
    assert states[-1] == client.get(path).json
    events.close()
    assert client.get("/v1/tasks/6f1c7d3e-5a53-5c0b-9a0e-7469646567a7/events").status == 404
    # Who leaves is forgotten, and does not keep the gateway from ending.
    Events(client, f"{ask(client, ASKED).headers['location']}/events").close()


@pytest.mark.redis
def test_what_has_ended_is_told_without_the_database(
    start: Start, with_redis: Parts, kafka: KafkaSettings, store: Store, own_valkey: OwnValkey
) -> None:
    client = start(with_redis)
    path = ask(client, ASKED).headers["location"]
    (request,) = requests(kafka, with_redis.requests)
    answered(store, request)
    told = client.get(path).json
    away = DatabaseSettings(url=SecretStr("postgresql://someone@127.0.0.1:1/nothing"), connect_timeout_s=0.3)
    settings = RedisSettings(url=SecretStr(own_valkey.url))
    results = Results(settings, SystemClock(), kept_s=100)
    other = start(replace(with_redis, desk=Desk(away), results=results, beside=(results,), bell=Bell(settings)))
    assert other.get(path).json == told
    # Only what can be what was kept is told.
    other_id = {"tenant": "", "view": {**told, "task_id": "x"}}
    for wrong in (b"rubbish", b"[]", b"{}", json.dumps(other_id).encode(), b'{"tenant": "", "view": {}}'):
        with own_valkey.client() as redis:
            redis.set(f"tidegate:task:{request.id}", wrong)
        assert other.get(path).status == 503


def test_who_cannot_follow_any_more_is_told_to_ask_again(
    start: Start, asking: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "MOST", 1)
    client = start(asking)
    path = f"/v1/tasks/{keyed(client, 'k-1').json['task_id']}"
    first = Events(client, f"{path}/events")
    assert next(iter(first))[1]["state"] == "queued"
    refused = client.get(f"{path}/events")
    assert (refused.status, refused.json["error"], refused.headers["retry-after"]) == (429, "busy", "1")
    waited = client.get(f"{path}?wait=60")  # it is answered at once
    assert (waited.status, waited.json["state"]) == (200, "queued")
    client.request("DELETE", path)
    assert [told["state"] for _, told in first] == ["cancelled"]
    first.close()
    last = Events(client, f"{path}/events")
    assert [told["state"] for _, told in last] == ["cancelled"]
    last.close()
