"""The read side, from a real PostgreSQL."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL
from pydantic import SecretStr

from connectors.errors import ConnectorError, SlowDownError, UnreachableError
from connectors.http.parts import Parts
from connectors.kafka.admin import Admin
from connectors.kafka.settings import KafkaSettings
from connectors.timescale import devices, insights
from connectors.timescale.connection import connect
from connectors.timescale.desk import Desk
from connectors.timescale.devices import DeviceSeen
from connectors.timescale.reader import Reader
from connectors.timescale.settings import DatabaseSettings
from schemas.models import Insight
from schemas.registry import BY_ID, READING

pytestmark = pytest.mark.database

Start = Callable[[Parts], Any]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class NoProducer:
    def send(self, *_record: object, **_report: object) -> None:
        raise AssertionError


@pytest.fixture
def client(start: Start, database: DatabaseSettings) -> Any:  # noqa: ANN401  # the client of conftest.py
    return start(Parts(producer=NoProducer(), reader=Reader(database), desk=Desk(database)))


def see(database: DatabaseSettings, *seen: DeviceSeen) -> None:
    with connect(database, autocommit=True) as connection:
        devices.see(connection, seen)


def add_readings(database: DatabaseSettings, rows: list[tuple[datetime, str, str, float]]) -> None:
    with connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into readings (ts, device_id, metric, value, accepted) values (%s, %s, %s, %s, now())", rows
        )


def add_insights(database: DatabaseSettings, *created: datetime, device: str = "d", summary: str = "odd") -> list[str]:
    ids = []
    with connect(database, autocommit=True) as connection:
        for number, moment in enumerate(created):
            insight = Insight(
                id=str(UUID(int=1000 - number + 7919 * len(device))),
                request_id=str(UUID(int=1)),
                device_id=device,
                metric="m",
                window_start=moment,
                window_end=moment,
                kind="level",
                severity="warning",
                summary=summary,
                probable_causes=("cause",),
                confidence=0.5,
                source="rules",
                topic="readings",
                partition=1,
                first_offset=2,
                last_offset=3,
                latency_s=0.1,
                created=moment,
            )
            insights.store(connection, [insight])
            ids.append(insight.id)
    return ids


def test_devices_come_in_pages(client: Any, database: DatabaseSettings) -> None:  # noqa: ANN401
    assert client.get("/v1/devices").json == {"devices": [], "next": None}
    names = ["a", "b", "c d", "é", "z?&"]
    see(database, *(DeviceSeen(name, NOON, NOON, {"m": "Cel"}, {"class": "pump"}) for name in names))
    found = []
    after: str | None = ""
    while after is not None:
        answer = client.get(f"/v1/devices?limit=2&after={quote(after)}").json
        found += answer["devices"]
        after = answer["next"]
    assert sorted(device["device_id"] for device in found) == sorted(names)
    assert found[0] == {
        "device_id": "a",
        "class": "pump",
        "units": {"m": "Cel"},
        "tags": {"class": "pump"},
        "first_seen": "2026-03-01T12:00:00Z",
        "last_seen": "2026-03-01T12:00:00Z",
    }


def test_readings_are_the_newest_of_the_range(client: Any, database: DatabaseSettings) -> None:  # noqa: ANN401
    minutes = [NOON + timedelta(minutes=number) for number in range(10)]
    add_readings(database, [(at, "a b", metric, float(n)) for n, at in enumerate(minutes) for metric in ("x", "y")])
    add_readings(database, [(NOON, "other", "x", 99.0), (NOON - timedelta(days=4000), "a b", "old", -1.0)])
    base = "/v1/devices/a%20b/readings"

    everything = client.get(base).json
    assert everything["device_id"] == "a b"
    assert everything["truncated"] is False
    assert [(row["metric"], row["value"]) for row in everything["readings"][:3]] == [("x", 9.0), ("y", 9.0), ("x", 8.0)]
    assert [row["metric"] for row in everything["readings"]].count("old") == 1
    assert len(everything["readings"]) == 21

    inside = client.get(f"{base}?metric=x&from=2026-03-01T12:02:00&to=2026-03-01T14:05:00%2B02:00").json
    assert [row["ts"] for row in inside["readings"]] == [f"2026-03-01T12:0{n}:00Z" for n in (4, 3, 2)]

    page = client.get(f"{base}?limit=3").json
    assert page["truncated"] is True
    assert [(row["metric"], row["value"]) for row in page["readings"]] == [("x", 9.0), ("y", 9.0), ("x", 8.0)]

    followed, to = [], "2027-01-01"
    while to:
        answer = client.get(f"{base}?metric=y&limit=4&to={to}").json
        followed += [row["value"] for row in answer["readings"]]
        to = answer["readings"][-1]["ts"] if answer["truncated"] else ""
    assert followed == [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert client.get("/v1/devices/unknown/readings").json["readings"] == []


def test_insights_can_be_paged_while_new_ones_arrive(client: Any, database: DatabaseSettings) -> None:  # noqa: ANN401
    # Three of one instant: the page ends among them.
    moments = [NOON - timedelta(microseconds=max(0, number - 3)) for number in range(7)]
    mine = add_insights(database, *moments)
    add_insights(database, NOON, device="other")
    found: list[str] = []
    before = ""
    while True:
        answer = client.get(f"/v1/insights?device_id=d&limit=2{before}").json
        found += [insight["id"] for insight in answer["insights"]]
        if not found[2:]:
            add_insights(database, NOON + timedelta(hours=1), device="d" * 9)
        if answer["next"] is None:
            break
        before = f"&before={answer['next']}"
    assert sorted(found) == sorted(mine)
    assert found == sorted(mine[:4]) + mine[4:]
    assert len(client.get("/v1/insights").json["insights"]) == 9


def test_an_insight_is_whole(client: Any, database: DatabaseSettings) -> None:  # noqa: ANN401
    add_insights(database, NOON)
    (body,) = client.get("/v1/insights").json["insights"]
    insight = Insight.model_validate(body)
    assert insight.probable_causes == ("cause",)
    assert (insight.topic, insight.first_offset, insight.created) == ("readings", 2, NOON)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/devices?limit=0",
        "/v1/devices?limit=1001",
        "/v1/devices?limit=many",
        "/v1/devices?after=%00",
        "/v1/devices/a%00b/readings",
        "/v1/devices/" + "x" * 129 + "/readings",
        "/v1/devices/d/readings?metric=%00",
        "/v1/devices/d/readings?from=noon",
        "/v1/devices/d/readings?to=2026-03-01T12:00:00+02:00",
        "/v1/devices/d/readings?limit=10001",
        "/v1/insights?device_id=",
        "/v1/insights?limit=-1",
        "/v1/insights?before=1",
        "/v1/insights?before=999999999999999999_" + "0" * 32,
    ],
)
def test_wrong_questions_are_explained(client: Any, path: str) -> None:  # noqa: ANN401
    answer = client.get(path)
    assert (answer.status, answer.json["error"]) == (422, "invalid")
    assert answer.json["detail"]


def test_a_series_is_as_fine_as_its_points_allow(client: Any, database: DatabaseSettings) -> None:  # noqa: ANN401
    seconds = [NOON + timedelta(seconds=10 * n) for n in range(720)]  # two hours
    add_readings(database, [(at, "d", "x", float(n)) for n, at in enumerate(seconds)])
    add_readings(database, [(NOON, "d", "y", 1e200), (NOON, "other", "x", 9.0)])

    def series(query: str) -> Any:  # noqa: ANN401  # JSON
        answer = client.get(f"/v1/devices/d/series?{query}")
        assert answer.status == 200, answer.body
        return answer.json

    raw = series("metric=x&points=1000")
    assert (raw["resolution"], len(raw["points"])) == ("raw", 720)
    assert raw["points"][0] == {"ts": "2026-03-01T12:00:00Z", "mean": 0.0, "low": 0.0, "high": 0.0, "count": 1}
    range_ = "from=2026-03-01T12:00:30Z&to=2026-03-01T14:00:00Z"
    minutes = series(f"metric=x&points=200&{range_}")
    assert (minutes["resolution"], len(minutes["points"])) == ("1m", 120)
    assert minutes["points"][0] == {"ts": "2026-03-01T12:00:00Z", "mean": 2.5, "low": 0.0, "high": 5.0, "count": 6}
    hours = series(f"metric=x&points=10&{range_}")
    assert (hours["resolution"], [point["count"] for point in hours["points"]]) == ("1h", [360, 360])
    few = series("metric=x&points=300&from=2026-03-01T13:30:00Z&to=2026-03-01T13:40:00Z")
    assert (few["resolution"], len(few["points"])) == ("raw", 60)
    assert series("metric=y")["points"][0]["mean"] == 1e200
    assert series("metric=nothing")["points"] == []
    assert client.get("/v1/devices/d/metrics").json["metrics"] == ["x", "y"]
    for wrong in ("", "metric=", "metric=x&points=1", "metric=x&points=9999", "metric=x&from=noon"):
        assert client.get(f"/v1/devices/d/series?{wrong}").status == 422


def test_insights_are_chosen_by_what_they_are(client: Any, database: DatabaseSettings) -> None:  # noqa: ANN401
    add_insights(database, NOON, NOON + timedelta(minutes=1))
    for query, found in (
        ("severity=warning", 2),
        ("severity=info", 0),
        ("source=rules&kind=level&metric=m", 2),
        ("source=model", 0),
        ("kind=pattern", 0),
    ):
        assert len(client.get(f"/v1/insights?{query}").json["insights"]) == found, query
    for wrong in ("severity=terrible", "source=x", "metric=a/b", "limit=0", "nothing=1"):
        assert client.get(f"/v1/insights?{wrong}").status == 422


def test_the_overview_is_looked_at_once_for_all(start: Start, database: DatabaseSettings) -> None:
    looks: list[int] = []

    async def look() -> dict[str, object]:
        looks.append(1)
        return {"devices": 3}

    parts = Parts(producer=NoProducer(), reader=Reader(database), desk=Desk(database))
    client = start(replace(parts, overview=look))
    assert [client.get("/v1/overview").json for _ in range(3)] == [{"devices": 3}] * 3
    assert len(looks) == 1
    assert start(parts).get("/v1/overview").status == 404


def test_schemas_answer_as_a_confluent_registry_does(client: Any) -> None:  # noqa: ANN401
    for schema_id, version in BY_ID.items():
        answer = client.get(f"/schemas/ids/{schema_id}")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
        assert json.loads(answer.json["schema"]) == json.loads(version.text)
    missing = client.get("/schemas/ids/1")
    assert (missing.status, missing.json) == (404, {"error_code": 40403, "message": "Schema 1 not found"})
    assert READING.id in BY_ID


def test_every_answer_is_guarded(client: Any) -> None:  # noqa: ANN401
    for path in ("/", "/healthz", "/v1/devices", "/v1/devices?limit=0", "/nothing", "/docs", "/redoc", "/openapi.json"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("no-cache" if path == "/" else "no-store")
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_errors_are_json(client: Any) -> None:  # noqa: ANN401
    for method, path, status, word in (
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("DELETE", "/v1/devices", 405, "method_not_allowed"),
        ("GET", "/v1/devices/", 404, "not_found"),
    ):
        answer = client.request(method, path)
        assert (answer.status, answer.json["error"]) == (status, word)


def test_the_page_is_there_whatever_is_away(client: Any) -> None:  # noqa: ANN401
    answer = client.get("/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "://" not in answer.body.decode(), "nothing is loaded from elsewhere"
    for path in ("/static/app.js", "/static/style.css", "/vendor/plotly.min.js"):
        assert client.get(path).status == 200
    for path in ("/static/", "/static/index.html", "/static/..%2Fpage.py", "/vendor/widgetbundle.js"):
        assert (client.get(path).status, client.get(path).json["error"]) == (404, "not_found")


def test_a_database_that_is_away_is_said_without_its_address(start: Start) -> None:
    url = SecretStr("postgresql://someone:secret@127.0.0.1:1/nothing")
    away = DatabaseSettings(url=url, connect_timeout_s=0.5)
    reader = Reader(away)
    client = start(Parts(producer=NoProducer(), reader=reader, desk=Desk(away), checks={"database": reader.check}))
    answer = client.get("/v1/devices")
    assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (503, "unavailable", "5")
    ready = client.get("/readyz")
    assert ready.status == 503
    assert ready.json["parts"]["database"]["ok"] is False
    for body in (answer.body, ready.body):
        assert b"secret" not in body
    assert b"127.0.0.1" not in answer.body


@pytest.mark.kafka
def test_ready_names_each_part(start: Start, kafka: KafkaSettings, database: DatabaseSettings) -> None:
    reader = Reader(database)
    broken = Admin(KafkaSettings(bootstrap_servers="127.0.0.1:1", connect_timeout_s=1))
    asked: list[str] = []

    async def works() -> None:
        asked.append(await asyncio.to_thread(Admin(kafka).cluster_id))

    async def fails() -> None:
        await asyncio.to_thread(broken.cluster_id)

    async def hangs() -> None:
        await asyncio.Event().wait()

    parts = Parts(
        producer=NoProducer(), reader=reader, desk=Desk(database), checks={"kafka": works, "database": reader.check}
    )
    good = start(parts).get("/readyz")
    assert (good.status, good.json) == (
        200,
        {"status": "ready", "parts": {"kafka": {"ok": True}, "database": {"ok": True}}},
    )
    assert asked

    others = replace(
        parts, reader=Reader(database), desk=Desk(database), checks={"kafka": fails, "other": hangs}, check_s=2.5
    )
    client = start(others)
    bad = client.get("/readyz")
    assert (bad.status, bad.json["status"]) == (503, "not ready")
    assert "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS" in bad.json["parts"]["kafka"]["why"]
    assert bad.json["parts"]["other"] == {"ok": False, "why": "no answer within 2.5 s"}
    assert client.get("/healthz").json == {"status": "ok"}


@pytest.mark.kafka
def test_readings_are_accepted_while_the_database_is_away(start: Start, kafka: KafkaSettings) -> None:
    away = DatabaseSettings(url=SecretStr("postgresql://127.0.0.1:1/nothing"), connect_timeout_s=0.5)

    async def works() -> None:
        await asyncio.to_thread(Admin(kafka).cluster_id)

    async def hangs() -> None:
        await asyncio.Event().wait()

    checks = {"kafka": works, "database": hangs}
    parts = Parts(producer=NoProducer(), reader=Reader(away), desk=Desk(away), checks=checks, check_s=60.0)
    ready = start(parts).get("/readyz/ingest")  # and does not wait for what hangs
    assert (ready.status, ready.json) == (200, {"status": "ready", "parts": {"kafka": {"ok": True}}})


def test_an_error_nobody_foresaw_shows_nothing(start: Start, database: DatabaseSettings) -> None:
    class Broken(Reader):
        async def devices(self, *, tenant: str | None, prefix: str = "", after: str, limit: int) -> Any:  # noqa: ANN401  # never returns
            raise LookupError(f"private {tenant} {prefix} {after} {limit}")

    answer = start(Parts(producer=NoProducer(), reader=Broken(database), desk=Desk(database))).get("/v1/devices")
    assert (answer.status, answer.json["error"]) == (500, "internal")
    assert b"private" not in answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_reader_cannot_write(database: DatabaseSettings) -> None:
    reader = Reader(database)
    await reader.open()
    try:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await reader._pool.run(SQL("delete from devices"), {})  # noqa: SLF001  # what it may do is the point
    finally:
        await reader.close()


async def test_a_question_that_takes_too_long_is_ended(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.timescale.pool._READ_ONLY", "-c statement_timeout=50ms")
    reader = Reader(database)
    await reader.open()
    try:
        with connect(database) as other:
            other.execute("lock table devices in access exclusive mode")
            with pytest.raises(SlowDownError):
                await reader.devices(tenant=None, after="", limit=1)
        assert await reader.devices(tenant=None, after="", limit=1) == []
    finally:
        await reader.close()


async def test_a_database_without_tables_is_explained(empty_database: DatabaseSettings) -> None:
    reader = Reader(empty_database)
    await reader.open()
    try:
        with pytest.raises(ConnectorError, match="db migrate"):
            await reader.check()
    finally:
        await reader.close()


async def test_it_survives_the_loss_of_its_connections(database: DatabaseSettings) -> None:
    reader = Reader(database)
    await reader.open()
    try:
        assert await reader.devices(tenant=None, after="", limit=1) == []
        with connect(database, autocommit=True) as other:
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'tidegate-reader' and datname = current_database()"
            )
        assert await reader.devices(tenant=None, after="", limit=1) == []
    finally:
        await reader.close()


async def test_a_reader_names_where_it_looked(database: DatabaseSettings) -> None:
    url = SecretStr("postgresql://someone:secret@127.0.0.1:1/nothing")
    reader = Reader(database.model_copy(update={"url": url, "connect_timeout_s": 0.3}))
    await reader.open()
    try:
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1/nothing.*TIDEGATE_DATABASE__URL") as caught:
            await reader.check()
        assert "secret" not in str(caught.value)
    finally:
        await reader.close()
