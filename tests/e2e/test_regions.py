"""The commands between regions: what comes from the others, whether it is the same, and what others are told."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer as BareProducer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from connectors.embedded.server import Server
from connectors.kafka.admin import Admin
from connectors.timescale.connection import connect
from connectors.timescale.settings import DatabaseSettings
from schemas.codec import encode
from schemas.models import Reading
from schemas.topics import READINGS, mirrors
from streams.pipeline import prepare_database
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.mqtt, pytest.mark.timeout(300)]

INSERT = "insert into readings (ts, device_id, metric, value, accepted) values (%s, %s, 't', %s, %s)"


@pytest.fixture
def regions(flow: Flow) -> dict[str, str]:
    """Let the flow be a region, `eu`, that has another one beside it."""
    listed = {
        "regions": [
            {"name": name, "kafka": {"bootstrap_servers": f"kafka.{name}:9092"}, "addresses": [address]}
            for name, address in (("us", "192.0.2.1"), ("eu", "192.0.2.2"))
        ],
        "dns": {"zone": "tidegate.example"},
    }
    file = flow.folder / "regions.json"
    file.write_text(json.dumps(listed), encoding="utf-8")
    return {"TIDEGATE_REGION": "eu", "TIDEGATE_REGIONS_FILE": str(file)}


@pytest.fixture
def theirs(flow: Flow) -> Iterator[None]:
    """Make the topics in which records of `us` arrive, and those that MirrorMaker makes itself."""
    admin, client = Admin(flow.settings.kafka), AdminClient(flow.settings.kafka.client())
    admin.apply(mirrors(["us"]))
    client.create_topics([NewTopic("us.heartbeats", 1, 1)])["us.heartbeats"].result()
    yield
    for future in client.delete_topics([*(topic.name for topic in mirrors(["us"])), "us.heartbeats"]).values():
        future.result()


@pytest.fixture
def other(postgres_server: Server) -> Iterator[DatabaseSettings]:
    """Make another region's database."""
    name = f"other_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.address, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        made = DatabaseSettings(url=SecretStr(make_conninfo(postgres_server.address, dbname=name)))
        prepare_database(made)
        yield made
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.mark.apache_kafka
@pytest.mark.usefixtures("theirs")
def test_what_comes_from_another_region_is_stored_and_told(flow: Flow, regions: dict[str, str]) -> None:
    silent = flow.run("region", "status", **regions)
    assert (silent.returncode, silent.stdout) == (1, "us  nothing has ever come\n"), silent.stderr

    now = datetime.now(UTC)
    producer = BareProducer(flow.settings.kafka.client())
    accepted_ms = int((now - timedelta(minutes=5)).timestamp() * 1000)
    for number in range(10):
        reading = Reading(device_id=f"pump-{number}", ts=now - timedelta(hours=1), metrics={"t": 1.0})
        producer.produce("us.readings", encode(reading), reading.device_id, timestamp=accepted_ms)
    producer.produce("us.heartbeats", b"", b"", timestamp=int(now.timestamp() * 1000))
    producer.flush(30)

    flow.start("worker", "--lane", "mirror", wait=True, **regions)
    eventually(lambda: flow.fetch("select count(*) from readings") == [(10,)], "they are stored")
    assert {int(row[0].timestamp() * 1000) for row in flow.fetch("select accepted from readings")} == {accepted_ms}

    def status() -> dict[str, dict[str, float | dict[str, int]]]:
        done = flow.run("region", "status", "--json", **regions)
        assert done.returncode == 0, done.stderr
        told: dict[str, dict[str, float | dict[str, int]]] = json.loads(done.stdout)
        return told

    eventually(lambda: status()["us"]["behind"] == {"us.readings": 0, "us.insights": 0}, "nothing is behind")
    seen = status()["us"]
    assert isinstance(seen["heartbeat_s"], float)
    assert 0 <= seen["heartbeat_s"] < 60
    assert seen["newest_s"] == pytest.approx(300, abs=60)

    found = {one["what"]: one for one in json.loads(flow.run("doctor", "--json", **regions).stdout)["findings"]}
    assert found["region us"]["fine"]
    assert found["topic us.readings"]["fine"]
    assert "topic us.readings settings" not in found  # nothing is wrong with them
    assert "TIDEGATE_REGIONS_SECRET" in found["regions replays"]["seen"]


def test_two_regions_are_compared(flow: Flow, regions: dict[str, str], other: DatabaseSettings) -> None:
    now = datetime.now(UTC)
    accepted = now - timedelta(minutes=5)
    rows = [(now - timedelta(minutes=30 + at), f"pump-{at % 3}", float(at), accepted) for at in range(60)]
    for database in (flow.settings.database, other):
        with connect(database, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.executemany(INSERT, rows)
    url = other.url.get_secret_value()
    same = flow.run("region", "compare", url, "--since", "6h", "--json", **regions)
    assert (same.returncode, json.loads(same.stdout)) == (0, {"rows": 60, "differences": 0, "shown": []})

    with connect(other, autocommit=True) as connection:
        connection.execute("delete from readings where value = 7.0")
        # What was accepted just now may be on its way.
        connection.execute(INSERT, (now - timedelta(minutes=1), "pump-9", 1.0, now))
    differ = flow.run("region", "compare", url, "--since", "6h", **regions)
    assert differ.returncode == 1
    first, rows_here, differences = differ.stdout.splitlines()
    assert "pump-1" in first
    assert rows_here.split() == ["rows", "here", "60"]
    assert differences.endswith(" 1")


def test_keys_and_owners_come_to_another_region(flow: Flow, other: DatabaseSettings, tmp_path: Path) -> None:
    there = {"TIDEGATE_DATABASE__URL": other.url.get_secret_value()}
    made = json.loads(flow.run("keys", "create", "line 4", "--scope", "ingest", "--tenant", "acme", "--json").stdout)
    gone = json.loads(flow.run("keys", "create", "old", "--scope", "read", "--json").stdout)
    flow.run("keys", "own", "acme", "pump-1", "pump-2")
    # Over there pump-1 has spoken, through the mirror, and pump-2 is somebody else's by now.
    with connect(other, autocommit=True) as connection:
        connection.execute("insert into devices (device_id, first_seen, last_seen) values ('pump-1', now(), now())")
    flow.run("keys", "own", "umbrella", "pump-2", **there)

    file = tmp_path / "keys.ndjson"
    file.write_text(flow.run("keys", "export").stdout, encoding="utf-8")
    assert made["key"].rpartition("_")[2] not in file.read_text("utf-8")  # nothing in it opens anything
    taken = flow.run("keys", "import", str(file), "--json", **there)
    assert json.loads(taken.stdout) == {"keys": 2, "devices": 2}, taken.stderr
    told = json.loads(flow.run("keys", "list", "--json", **there).stdout)
    assert {key: one["state"] for key, one in told.items()} == {made["id"]: "good", gone["id"]: "good"}
    with connect(other, autocommit=True) as connection:
        owners = connection.execute("select device_id, tenant from devices order by 1").fetchall()
        hashes = connection.execute("select hash from api_keys where id = %s", (made["id"],)).fetchall()
    assert owners == [("pump-1", "acme"), ("pump-2", "umbrella")]
    assert hashes == flow.fetch("select hash from api_keys where id = %s", made["id"])

    flow.run("keys", "revoke", gone["id"])
    file.write_text(flow.run("keys", "export").stdout, encoding="utf-8")
    assert flow.run("keys", "import", str(file), **there).returncode == 0
    assert json.loads(flow.run("keys", "list", "--json", **there).stdout)[gone["id"]]["state"] == "revoked"

    file.write_text('{"key": {"id": "x"}}\n', encoding="utf-8")
    wrong = flow.run("keys", "import", str(file), **there)
    assert wrong.returncode == 2
    assert "line 1: key.id" in wrong.stderr


def test_what_others_are_told(flow: Flow, regions: dict[str, str], tmp_path: Path) -> None:
    printed = flow.run("region", "mirror", "--print", **regions)
    assert "us->eu.topics = readings,insights\n" in printed.stdout
    made = flow.run("region", "dns", "--to", str(tmp_path / "gdnsd"), "--listen", "127.0.0.1:5353", "--json", **regions)
    told = json.loads(made.stdout)
    assert [Path(file).name for file in told["files"]] == ["config", "tidegate.example"]
    assert told["checked"] == "yes" or told["checked"].startswith("no: gdnsd is not installed")
    acls = flow.run("doctor", "--acls", **regions).stdout
    assert "User:tidegate-mirror --operation Read --topic us.readings" in acls
    assert "User:tidegate-region --operation Read --topic readings" in acls
    assert "User:tidegate-region --operation Write" not in acls
    topics = json.loads(flow.run("topics", "list", "--json", **regions).stdout)
    assert topics[READINGS.of("us").name]["mirrored"] is False


def test_without_a_list_there_are_no_other_regions(flow: Flow) -> None:
    for arguments in (
        ("region", "status"),
        ("region", "mirror"),
        ("region", "dns", "--to", "x"),
        ("worker", "--lane", "mirror"),
    ):
        done = flow.run(*arguments)
        assert done.returncode == 2, arguments
        assert "TIDEGATE_REGIONS_FILE" in done.stderr
        assert "Traceback" not in done.stderr
    wrong = flow.run("region", "drill", "--only", "flood")
    assert wrong.returncode == 2
    assert "'flood' is none of the disasters: link cut, database killed, region killed" in wrong.stderr


def test_a_drill_says_what_it_lacks(flow: Flow, tmp_path: Path) -> None:
    done = flow.run("region", "drill", "--short", TIDEGATE_DATA_DIR=str(tmp_path), PATH="/nowhere", JAVA_HOME="")
    assert done.returncode == 1
    assert "not installed" in done.stderr or "no Java" in done.stderr
