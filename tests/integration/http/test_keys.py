"""Who may do what over HTTP, with what they show; whose devices and tasks are whose; and no secret anywhere."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.http.access import FRESH_S, STALE_S
from connectors.http.parts import Parts
from connectors.keys import ApiKey, Scope, digest, make, written
from connectors.timescale import keys
from connectors.timescale.connection import connect
from connectors.timescale.keys import KeyRing
from connectors.timescale.settings import DatabaseSettings
from schemas.models import Reading
from tests.fakes.hand_clock import HandClock
from tests.integration.http.conftest import Answer, Client
from tests.integration.http.test_tasks import Start

pytestmark = [pytest.mark.kafka, pytest.mark.database]

ALL = frozenset(Scope)
READING = {"device_id": "pump-7", "ts": "2026-03-01T12:00:00Z", "metrics": {"t": 1.0}}
QUESTION = {"device_id": "pump-7", "metric": "t", "question": "Is it hot?"}


@dataclass
class Gateway:
    """A gateway that asks for keys, and the keys."""

    client: Client
    database: DatabaseSettings
    clock: HandClock

    def key(self, *scopes: Scope, tenant: str = "acme", **more: Any) -> str:  # noqa: ANN401  # fields of a key
        key_id, secret = make()
        fields = {"per_minute": None, "expires": None, "revoked": None, **more}
        with connect(self.database, autocommit=True) as connection:
            keys.add(
                connection,
                ApiKey(key_id, tenant, "n", frozenset(scopes), digest(secret), created=self.clock.now(), **fields),
            )
        return written(key_id, secret)

    def ask(self, method: str, path: str, key: str, body: object = None) -> Answer:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return self.client.request(method, path, None if body is None else json.dumps(body).encode(), headers)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ring(database: DatabaseSettings) -> KeyRing:
    return KeyRing(database)


@pytest.fixture
def guarded(parts: Parts, ring: KeyRing, clock: HandClock) -> Parts:
    return replace(parts, requests=parts.topic, keys=ring, clock=clock)


@pytest.fixture
def gateway(start: Start, guarded: Parts, database: DatabaseSettings, clock: HandClock) -> Gateway:
    return Gateway(start(guarded), database, clock)


NOBODY = "6f1c7d3e-5a53-5c0b-9a0e-7469646567a7"
# What each route needs.
ROUTES: list[tuple[str, str, object, frozenset[Scope]]] = [
    ("POST", "/v1/readings", READING, frozenset({Scope.INGEST})),
    ("POST", "/v1/tasks", QUESTION, frozenset({Scope.ASK})),
    ("POST", "/analyze/pump-7", {"metric": "t"}, frozenset({Scope.ASK})),
    ("GET", f"/v1/tasks/{NOBODY}", None, frozenset({Scope.ASK, Scope.READ})),
    ("GET", f"/v1/tasks/{NOBODY}/events", None, frozenset({Scope.ASK, Scope.READ})),
    ("DELETE", f"/v1/tasks/{NOBODY}", None, frozenset({Scope.ASK})),
    ("GET", "/v1/devices", None, frozenset({Scope.READ})),
    ("GET", "/v1/devices/pump-7/readings", None, frozenset({Scope.READ})),
    ("GET", "/v1/devices/pump-7/metrics", None, frozenset({Scope.READ})),
    ("GET", "/v1/devices/pump-7/series?metric=t", None, frozenset({Scope.READ})),
    ("GET", "/v1/insights", None, frozenset({Scope.READ})),
    ("GET", "/v1/overview", None, frozenset()),
    ("POST", f"/v1/insights/{NOBODY}/feedback", {"verdict": "right"}, frozenset({Scope.ASK})),
    ("GET", "/v1/devices/pump-7/export", None, frozenset({Scope.READ})),
    ("GET", "/metrics", None, frozenset({Scope.METRICS})),
    ("DELETE", "/v1/devices/pump-7", None, frozenset()),
]
OPEN = {"/healthz", "/readyz", "/readyz/ingest"}
REGISTRY = ("/schemas", "/subjects", "/compatibility", "/config", "/asyncapi.json")


@pytest.mark.parametrize(("method", "path", "body", "scopes"), ROUTES)
def test_every_route_needs_a_key_with_its_scope(
    gateway: Gateway, method: str, path: str, body: object, scopes: frozenset[Scope]
) -> None:
    nobody = gateway.ask(method, path, "", body)
    assert (nobody.status, nobody.headers["www-authenticate"]) == (401, "Bearer")
    for scope in ALL - {Scope.ADMIN}:
        answer = gateway.ask(method, path, gateway.key(scope), body)
        assert (answer.status == 403) == (scope not in scopes), scope
    assert gateway.ask(method, path, gateway.key(Scope.ADMIN), body).status in {200, 202, 404}


def test_no_route_is_forgotten(gateway: Gateway) -> None:
    every = gateway.client.get("/openapi.json").json["paths"]
    paths = {path for path in every if not path.startswith(REGISTRY)}
    known = {"/v1/tasks/{task_id}", "/v1/tasks/{task_id}/events", "/v1/devices/{device_id}/readings"}
    known |= {"/v1/devices/{device_id}/metrics", "/v1/devices/{device_id}/series", "/v1/overview"}
    known |= {"/v1/devices/{device_id}/export", "/v1/devices/{device_id}", "/v1/insights/{insight_id}/feedback"}
    known |= {"/analyze/{device_id}", "/metrics", "/v1/readings", "/v1/tasks", "/v1/devices", "/v1/insights"}
    assert paths == known | OPEN
    for path in (*OPEN, "/schemas/ids/7101", "/"):
        assert gateway.client.get(path).status == 200


def test_what_is_no_key_any_more_opens_nothing(gateway: Gateway, clock: HandClock) -> None:
    good, other = gateway.key(Scope.READ), gateway.key(Scope.READ)
    lasting = gateway.key(Scope.READ, expires=clock.now() + timedelta(seconds=5))
    assert [gateway.ask("GET", "/v1/devices", key).status for key in (good, lasting)] == [200, 200]
    clock.move(5)
    assert gateway.ask("GET", "/v1/devices", lasting).status == 401
    mixed = f"{good[:16]}{other[16:]}"
    for wrong in (good[:-1], good + "x", mixed, good.replace("tg_", "tx_"), "x" * 5000):
        assert gateway.ask("GET", "/v1/devices", wrong).status == 401
    with connect(gateway.database, autocommit=True) as connection:
        assert keys.revoke(connection, good.split("_")[1], datetime.now(UTC))
        assert not keys.revoke(connection, "nobody", datetime.now(UTC))
    clock.move(FRESH_S)
    assert gateway.ask("GET", "/v1/devices", good).status == 401
    assert gateway.client.request("GET", "/v1/devices", None, {"X-API-Key": other}).status == 200


def test_a_key_writes_its_tenants_devices_alone(gateway: Gateway, in_kafka: Callable[[], list[Reading]]) -> None:
    with connect(gateway.database, autocommit=True) as connection:
        connection.execute("insert into devices values ('open-1', '', '', '{}', '{}', now(), now())")
    acme, rival = gateway.key(Scope.INGEST), gateway.key(Scope.INGEST, tenant="rival")
    assert gateway.ask("POST", "/v1/readings", acme, READING).status == 202
    # What nobody had is the first one's from then on.
    mixed = [{**READING, "device_id": one} for one in ("fan-1", "pump-7", "open-1")]
    answer = gateway.ask("POST", "/v1/readings", rival, [*mixed, {}])
    assert (answer.status, answer.json["accepted"]) == (207, 1)
    assert [(one["index"], one["reason"]) for one in answer.json["rejected"]] == [
        (1, "tenant"),
        (2, "tenant"),
        (3, "invalid"),
    ]
    refused = gateway.ask("POST", "/v1/readings", rival, READING)
    assert (refused.status, refused.json["accepted"]) == (422, 0)
    assert gateway.ask("POST", "/v1/readings", gateway.key(Scope.ADMIN), mixed).status == 202
    assert sorted(one.device_id for one in in_kafka()) == ["fan-1", "fan-1", "open-1", "pump-7", "pump-7"]
    with connect(gateway.database, autocommit=True) as connection:
        found = connection.execute("select device_id, tenant from devices order by device_id").fetchall()
    assert found == [("fan-1", "rival"), ("open-1", ""), ("pump-7", "acme")]


def test_a_key_sees_and_asks_about_its_tenants_things_alone(gateway: Gateway) -> None:
    acme, rival, admin = (
        gateway.key(*ALL - {Scope.ADMIN}),
        gateway.key(*ALL - {Scope.ADMIN}, tenant="r"),
        gateway.key(*ALL),
    )
    assert gateway.ask("POST", "/v1/readings", acme, READING).status == 202
    assert [len(gateway.ask("GET", "/v1/devices", key).json["devices"]) for key in (acme, rival, admin)] == [1, 0, 1]
    path = "/v1/devices/pump-7/readings"
    assert [gateway.ask("GET", path, key).status for key in (acme, rival, admin)] == [200, 404, 200]
    assert [gateway.ask("POST", "/v1/tasks", key, QUESTION).status for key in (rival, acme)] == [404, 202]
    task = gateway.ask("POST", "/v1/tasks", acme, QUESTION).headers["location"]
    assert [gateway.ask("GET", task, key).status for key in (acme, rival, admin)] == [200, 404, 200]
    assert [gateway.ask(how, path, rival).status for how, path in (("DELETE", task), ("GET", f"{task}/events"))] == [
        404,
        404,
    ]
    with connect(gateway.database, autocommit=True) as connection:
        assert connection.execute("select distinct tenant from tasks").fetchall() == [("acme",)]


def test_a_key_may_ask_so_often_a_minute(gateway: Gateway, clock: HandClock) -> None:
    key, other = gateway.key(Scope.READ, per_minute=60), gateway.key(Scope.READ, per_minute=60)
    seen = [gateway.ask("GET", "/v1/devices", key) for _ in range(11)]
    assert [answer.status for answer in seen] == [200] * 10 + [429]
    assert seen[-1].headers["retry-after"] == "1"
    assert gateway.ask("GET", "/v1/devices", other).status == 200
    clock.move(1)
    assert [gateway.ask("GET", "/v1/devices", key).status for _ in range(2)] == [200, 429]


@pytest.fixture
def away(database: DatabaseSettings) -> Iterator[Callable[[], None]]:
    """Take the keys' table away, as a database that is gone would be."""

    def go() -> None:
        with connect(database, autocommit=True) as connection:
            connection.execute("alter table api_keys rename to api_keys_away")

    yield go
    with connect(database, autocommit=True) as connection:
        connection.execute("alter table if exists api_keys_away rename to api_keys")


def test_while_the_database_is_away_the_keys_that_are_known_go_on_opening(
    gateway: Gateway, clock: HandClock, away: Callable[[], None]
) -> None:
    key, unknown = gateway.key(Scope.INGEST), gateway.key(Scope.INGEST)
    assert gateway.ask("POST", "/v1/readings", key, READING).status == 202
    away()
    clock.move(FRESH_S)
    assert gateway.ask("POST", "/v1/readings", key, READING).status == 202
    assert gateway.ask("POST", "/v1/readings", unknown, READING).status == 503
    clock.move(STALE_S)
    assert gateway.ask("POST", "/v1/readings", key, READING).status == 503


def test_no_key_is_in_the_log_or_in_an_answer(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = gateway.key(Scope.READ)
    answers = [gateway.ask(method, "/v1/devices", shown) for method in ("GET", "POST") for shown in (key, key[:-1])]
    secret = key.rpartition("_")[2][:-1]
    assert secret not in caplog.text
    assert not any(secret in str(answer) for answer in answers)
