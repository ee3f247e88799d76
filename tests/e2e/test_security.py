"""TLS, credentials and access lists of the real servers, through settings alone; and what is said of wrong ones."""

import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # some are exported at run time only
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from psycopg import sql
from psycopg.conninfo import make_conninfo

from connectors.embedded import ports
from connectors.embedded.server import Server, UnavailableError
from streams.doctor.acls import ROLES
from tests.e2e.conftest import Flow, eventually
from tests.fakes.secure import ADMIN, PASSWORD, Authority, admin, start_kafka, start_postgres, start_redis

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.mqtt, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
PARTS = ("ingest", "analyze", "bridge", "gateway", "operator")
USERS = {f"tidegate-{part}": f"{part}-secret" for part in PARTS}


@dataclass
class Secure:
    authority: Authority
    folder: Path


@pytest.fixture(scope="module")
def secure() -> Iterator[Secure]:
    # An unprivileged account has to reach it.
    folder = Path(tempfile.mkdtemp(prefix="tidegate-secure-"))
    folder.chmod(0o755)
    yield Secure(Authority(folder / "certificates"), folder)
    shutil.rmtree(folder)


def started(start: Callable[[], Server]) -> Iterator[Server]:
    try:
        server = start()
    except UnavailableError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def secure_kafka(secure: Secure) -> Iterator[Server]:
    yield from started(lambda: start_kafka(secure.folder / "kafka", secure.authority, USERS))


@pytest.fixture(scope="module")
def secure_postgres(secure: Secure) -> Iterator[Server]:
    yield from started(lambda: start_postgres(secure.folder / "postgres", secure.authority))


@pytest.fixture(scope="module")
def secure_redis(secure: Secure) -> Iterator[Server]:
    yield from started(lambda: start_redis(secure.folder / "redis", secure.authority))


def kafka_as(part: str, server: Server, authority: Authority) -> dict[str, Any]:
    user = ADMIN if part == ADMIN else f"tidegate-{part}"
    return {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": server.address,
        "TIDEGATE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "TIDEGATE_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
        "TIDEGATE_KAFKA__SASL_USERNAME": user,
        "TIDEGATE_KAFKA__SASL_PASSWORD": PASSWORD if part == ADMIN else USERS[user],
        "TIDEGATE_KAFKA__SSL_CA_LOCATION": str(authority.file),
    }


def allow(client: AdminClient, told: list[dict[str, Any]]) -> None:
    """Make the access lists that `tidegate doctor --acls` prints."""
    wanted = []
    for one in told:
        operation = "".join(f"_{letter}" if letter.isupper() else letter for letter in one["operation"]).strip("_")
        kind = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}
        wanted.append(
            AclBinding(
                kind[one["resource"]],
                one["name"],
                ResourcePatternType.LITERAL,
                f"User:{one['principal']}",
                "*",
                AclOperation[operation.upper()],
                AclPermissionType.ALLOW,
            )
        )
    for future in client.create_acls(wanted).values():
        future.result()


def test_each_part_does_its_work_with_what_the_doctor_says_it_needs(
    flow: Flow, secure: Secure, secure_kafka: Server, tmp_path: Path
) -> None:
    authority = secure.authority
    told = json.loads(flow.run("doctor", "--acls", "--json").stdout)["kafka"]
    allow(admin(secure_kafka.address, authority), told)
    assert flow.run("topics", "apply", **kafka_as("operator", secure_kafka, authority)).returncode == 0
    flow.start("worker", "--lane", "ingest", **kafka_as("ingest", secure_kafka, authority))
    flow.start("worker", "--lane", "analyze", **kafka_as("analyze", secure_kafka, authority))
    flow.start("bridge", **kafka_as("bridge", secure_kafka, authority))
    port = str(ports.free())
    flow.start("gateway", TIDEGATE_HTTP__PORT=port, **kafka_as("gateway", secure_kafka, authority))

    table = tmp_path / "pump-1.csv"
    rows = [f"{START + timedelta(seconds=n):%Y-%m-%d %H:%M:%S},{5.0 + n % 7 / 10}" for n in range(400)]
    table.write_text("\n".join(["timestamp,value", *rows, "2026-03-01 01:00:00,90.0"]) + "\n")
    assert flow.run("publish", str(table), "--via", "mqtt", "--metric", "pressure").returncode == 0
    assert (
        flow.run(
            "publish",
            str(table),
            "--via",
            "http",
            "--url",
            f"http://127.0.0.1:{port}",
            "--device",
            "pump-2",
            "--metric",
            "pressure",
        ).returncode
        == 0
    )
    eventually(lambda: flow.fetch("select count(*) from readings") == [(802,)], "all is stored")
    eventually(lambda: flow.fetch("select count(*) from insights")[0][0] >= 2, "alarms are explained")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/overview", timeout=20) as answer:  # our own gateway
        assert json.load(answer)["lag"]
    operator = kafka_as("operator", secure_kafka, authority)
    assert flow.run("doctor", "--no-calls", **operator).returncode == 0
    done = flow.run("replay", "readings", "--shadow", "--json", **operator)
    assert json.loads(done.stdout)["rows"] == {"same": 802}
    assert json.loads(flow.run("dlq", "list", "--json", **operator).stdout)["letters"] == 0

    # And no more than that: who carries readings reads none.
    refused = flow.run("replay", "readings", "--dry-run", **kafka_as("bridge", secure_kafka, authority))
    assert refused.returncode == 1
    assert "does not let us read readings" in refused.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"TIDEGATE_KAFKA__SASL_PASSWORD": "wrong-password"}, "TIDEGATE_KAFKA__"),
        ({"TIDEGATE_KAFKA__SSL_CA_LOCATION": ""}, "TIDEGATE_KAFKA__"),
        ({"TIDEGATE_KAFKA__SSL_CA_LOCATION": "/nowhere.pem"}, "there is no file /nowhere.pem"),
        ({"TIDEGATE_KAFKA__SASL_USERNAME": ""}, "sasl_username"),
        ({"TIDEGATE_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT"}, "SASL_SSL"),
    ],
)
def test_what_is_wrong_with_kafka_is_said(
    flow: Flow, secure: Secure, secure_kafka: Server, change: dict[str, str], says: str
) -> None:
    settings = {**kafka_as(ADMIN, secure_kafka, secure.authority), "TIDEGATE_KAFKA__CONNECT_TIMEOUT_S": "4"}
    done = flow.run("topics", "list", **(settings | change))
    assert done.returncode != 0
    assert says in done.stderr
    assert "wrong-password" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_database_is_reached_by_tls_and_each_role_does_its_part(
    flow: Flow, secure: Secure, secure_postgres: Server
) -> None:
    name = f"secure_{int(time.time())}"
    with psycopg.connect(secure_postgres.address, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    own = make_conninfo(secure_postgres.address, dbname=name)
    roles, _, after = ROLES.partition("-- After tidegate db migrate:")
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute(roles.encode())
        for role in ("owner", "gateway", "reader"):
            connection.execute(f"alter role tidegate_{role} password 'secret'".encode())

    def of(role: str) -> str:
        return make_conninfo(own, user=f"tidegate_{role}", password="secret")

    done = flow.run("db", "migrate", TIDEGATE_DATABASE__URL=of("owner"))
    assert done.returncode == 0, done.stderr
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute(after.encode())
    flow.start("worker", "--lane", "ingest", TIDEGATE_DATABASE__URL=of("owner"))
    port = str(ports.free())
    flow.start("gateway", TIDEGATE_HTTP__PORT=port, TIDEGATE_DATABASE__URL=of("gateway"))
    request = urllib.request.Request(  # our own gateway
        f"http://127.0.0.1:{port}/v1/readings",
        json.dumps({"device_id": "pump-1", "metrics": {"pressure": 5.0}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  # the same
        assert answer.status == 202

    def seen() -> bool:
        with psycopg.connect(of("reader")) as connection:
            return connection.execute("select count(*) from readings").fetchone() == (1,)

    eventually(seen, "it is stored")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/devices", timeout=20) as answer:  # our own gateway
        assert [one["device_id"] for one in json.load(answer)["devices"]] == ["pump-1"]
    with psycopg.connect(of("gateway"), autocommit=True) as connection:
        for forbidden in ("create table mine (a int)", "drop table readings", "truncate readings"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
    with psycopg.connect(of("reader"), autocommit=True) as connection:
        for forbidden in ("select * from api_keys", "select * from replays", "delete from readings"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
    # Another authority is not trusted.
    other = Authority(secure.folder / "others")
    refused = flow.run("status", TIDEGATE_DATABASE__URL=make_conninfo(of("owner"), sslrootcert=str(other.file)))
    assert refused.returncode != 0
    assert "TIDEGATE_DATABASE__URL" in refused.stderr
    assert "secret" not in refused.stderr
    flow.stop()
    with psycopg.connect(secure_postgres.address, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_redis_is_reached_by_tls_with_a_certificate_of_our_own(
    flow: Flow, secure: Secure, secure_redis: Server
) -> None:
    certificate, key = secure.authority.issue("worker")
    settings: dict[str, Any] = {
        "TIDEGATE_REDIS__URL": secure_redis.address,
        "TIDEGATE_REDIS__CA_FILE": str(secure.authority.file),
        "TIDEGATE_REDIS__CERTIFICATE_FILE": str(certificate),
        "TIDEGATE_REDIS__KEY_FILE": str(key),
    }
    found = json.loads(flow.run("doctor", "--no-calls", "--json", **settings).stdout)["findings"]
    assert {one["what"]: one["fine"] for one in found}["Redis"] is True
    flow.start("worker", "--lane", "analyze", **settings)
    port = str(ports.free())
    flow.start("gateway", TIDEGATE_HTTP__PORT=port, **settings)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20) as answer:  # our own gateway
        assert answer.status == 200
    for change, says in (
        ({"TIDEGATE_REDIS__CA_FILE": ""}, "TIDEGATE_REDIS__URL"),
        ({"TIDEGATE_REDIS__CERTIFICATE_FILE": "", "TIDEGATE_REDIS__KEY_FILE": ""}, "TIDEGATE_REDIS__URL"),
        ({"TIDEGATE_REDIS__CA_FILE": "/nowhere.pem"}, "there is no file /nowhere.pem"),
        ({"TIDEGATE_REDIS__URL": "redis://127.0.0.1:1"}, "rediss://"),
    ):
        refused = flow.run("cache", "stats", **(settings | change))
        told = refused.stderr + flow.run("doctor", "--no-calls", **(settings | change)).stdout + refused.stdout
        assert says in told or says in flow.run("worker", "--lane", "analyze", **(settings | change)).stderr
        assert "Traceback" not in told
