"""All that is stored of a device is handed out, and taken out, with a record of who did it; what people say is kept."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from psycopg.sql import SQL, Identifier

from connectors.http import export
from connectors.http.parts import Parts
from connectors.timescale import erasure, insights, tasks
from connectors.timescale.connection import connect
from connectors.timescale.desk import Desk
from connectors.timescale.orders import CacheOrders
from connectors.timescale.reader import Reader
from connectors.timescale.settings import DatabaseSettings
from schemas.fields import Source
from schemas.models import AnalysisRequest
from streams.prompts.insight import Origin, insight
from streams.prompts.rules import explain
from tests.integration.http.conftest import Client
from tests.integration.http.test_reads import NoProducer, Start, add_readings

pytestmark = pytest.mark.database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def answered(database: DatabaseSettings, device: str) -> str:
    """Store a question about a device, and its answer; give the insight's id."""
    request = AnalysisRequest.of_table(
        request_id=str(UUID(int=len(device))),
        region="",
        device_id=device,
        metric="x",
        kind="question",
        window=(NOON, NOON + timedelta(hours=1)),
        question="Is it hot?",
    )
    told = insight(request, explain(request), Origin(source=Source.RULES, created=NOON, latency_s=1.0))
    with connect(database, autocommit=True) as connection:
        tasks.begin(connection, [request], NOON)
        insights.store(connection, [told])
        tasks.finish(connection, [(request.id, told.id)], NOON)
        connection.execute(
            "insert into devices (device_id, first_seen, last_seen) values (%s, now(), now())", (device,)
        )
        connection.execute("insert into feedback (insight, who, verdict) values (%s, 'me', 'right')", (told.id,))
    return told.id


@pytest.fixture
def client(start: Start, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(export, "PAGE", 7)

    async def erase(device_id: str, who: str) -> Mapping[str, int]:
        def do() -> Mapping[str, int]:
            with connect(database, autocommit=True) as connection:
                return erasure.erase(connection, device_id, who)

        return await asyncio.to_thread(do)

    parts = Parts(producer=NoProducer(), reader=Reader(database), desk=Desk(database))
    made: Client = start(replace(parts, erase=erase))
    return made


def test_a_device_is_handed_out_and_taken_out_whole_and_no_other(client: Client, database: DatabaseSettings) -> None:
    moments = [(n, NOON + timedelta(seconds=n)) for n in range(20)]
    for device in ("a", "bb"):
        add_readings(database, [(at, device, metric, float(n)) for n, at in moments for metric in ("x", "y")])
    told, other = answered(database, "a"), answered(database, "bb")
    exported = client.get("/v1/devices/a/export")
    assert (exported.status, exported.headers["content-type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in exported.body.splitlines()]
    readings = [(line["metric"], line["value"]) for line in lines if line["kind"] == "reading"]
    assert sorted(readings) == sorted((metric, float(n)) for n in range(20) for metric in ("x", "y"))
    assert [line["id"] for line in lines if line["kind"] != "reading"] == [told]

    erased = client.request("DELETE", "/v1/devices/a")
    assert erased.json == {"device_id": "a", "deleted": {"readings": 40, "insights": 1, "tasks": 1}}
    assert client.get("/v1/devices/a/export").body == b""
    with connect(database) as connection:
        for table in ("readings", "insights", "tasks", "devices"):
            found = connection.execute(SQL("select distinct device_id from {}").format(Identifier(table))).fetchall()
            assert found == [("bb",)], table
        assert connection.execute("select insight::text from feedback").fetchall() == [(other,)]
        audited = connection.execute("select who, action, detail from audit").fetchall()
    assert audited == [("anyone", "erase device", {"device_id": "a", **erased.json["deleted"]})]
    assert client.request("DELETE", "/v1/devices/a").json["deleted"] == {"readings": 0, "insights": 0, "tasks": 0}


async def test_what_people_say_is_kept(start: Start, database: DatabaseSettings) -> None:
    told = answered(database, "a")

    orders = CacheOrders(database)
    await orders.remark(told, verdict="wrong", note="it was off", who="a key")
    assert await orders.insight([told]) is not None
    await orders.close()
    with connect(database) as connection:
        said = connection.execute("select who, verdict, note from feedback order by id").fetchall()
    assert said == [("me", "right", ""), ("a key", "wrong", "it was off")]
    parts = Parts(producer=NoProducer(), reader=Reader(database), desk=Desk(database))
    client = start(parts)
    headers = {"Content-Type": "application/json"}
    wrong = (b'{"verdict": "maybe"}', b"[]", b'{"verdict": "right", "x": 1}')
    for body, status in ((b'{"verdict": "right"}', 404), *((one, 422) for one in wrong)):
        assert client.request("POST", f"/v1/insights/{told}/feedback", body, headers).status == status
