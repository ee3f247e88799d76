"""The whole stack: it starts, keeps its data whatever happens to the one who started it, and leaves nothing behind."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.embedded import lock, mqtt, stack, valkey
from connectors.embedded.choice import NothingToStartError, Say
from connectors.embedded.server import Server

# What the fixtures of conftest.py are.
Subscribe = Callable[[str], None]
Publish = Callable[[str, range], None]
Receive = Callable[[str, int], list[int]]
AllGone = Callable[[list[psutil.Process]], bool]

STARTER = """
import json, sys
from pathlib import Path
from connectors.embedded import stack
up = stack.start(Path(sys.argv[1]), stack.Given(), lambda line: None)
addresses = {name: getattr(up, name).address for name in ("kafka", "database", "redis", "mqtt")}
print(json.dumps(addresses), flush=True)
sys.stdin.read()
"""


def create_topic(address: str, topic: str) -> None:
    client = AdminClient({"bootstrap.servers": address})
    client.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)


def produce(address: str, topic: str, value: bytes) -> None:
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "acks": "all"})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(10) == 0
    assert errors == [None]


def consume(address: str, topic: str, count: int) -> list[bytes | None]:
    settings = {"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False}
    consumer = Consumer(settings)
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return [message.value() for message in consumer.consume(count, timeout=10)]
    finally:
        consumer.close()


def insert(url: str, value: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table if not exists kept (value text)")
        connection.execute("insert into kept values (%s)", [value])


def rows(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute("select value from kept order by value")]


def append(url: str, text: str) -> str:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.append("kept", text)
        return str(client.get("kept"))


def test_data_outlive_a_killed_parent_and_a_stop_and_no_process_is_left(
    folder: Path,
    subscribe_and_leave: Subscribe,
    publish: Publish,
    receive: Receive,
    all_gone: AllGone,
) -> None:
    topic = f"t-{uuid.uuid4().hex[:8]}"
    with subprocess.Popen(  # noqa: S603 - this interpreter, with a script of this file
        [sys.executable, "-c", STARTER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        at = json.loads(parent.stdout.readline())
        create_topic(at["kafka"], topic)
        produce(at["kafka"], topic, b"1")
        insert(at["database"], "1")
        append(at["redis"], "1")
        subscribe_and_leave(at["mqtt"])
        publish(at["mqtt"], range(1))
        with pytest.raises(lock.InUseError, match=rf"{folder} is in use by process {parent.pid}"):
            stack.start(folder, stack.Given(), lambda _: None)
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) >= 8  # four leashes and four servers
        parent.kill()

    others = set(psutil.Process().children(recursive=True))
    # At once: the servers of the killed one are still stopping, and are waited for.
    up = stack.start(folder, stack.Given(), lambda _: None)
    try:
        assert all_gone(family)
        assert {name: getattr(up, name).address for name in at} == at
        produce(up.kafka.address, topic, b"2")
        insert(up.database.address, "2")
        append(up.redis.address, "2")
        publish(up.mqtt.address, range(1, 2))
    finally:
        family = list(set(psutil.Process().children(recursive=True)) - others)
        up.stop()
    assert all_gone(family)
    up.stop()

    with stack.start(folder, stack.Given(), lambda _: None) as up:
        assert consume(up.kafka.address, topic, 2) == [b"1", b"2"]
        assert rows(up.database.address) == ["1", "2"]
        assert append(up.redis.address, "3") == "123"
        if up.mqtt.kind == "mosquitto":
            assert receive(up.mqtt.address, 2) == [0, 1]
        assert all(server.alive for server in (up.kafka, up.database, up.redis, up.mqtt))
    assert not any(server.alive for server in (up.kafka, up.database, up.redis, up.mqtt))


def test_nothing_is_started_for_addresses_that_are_given(folder: Path) -> None:
    given = stack.Given(kafka="h:1", database="postgresql://h/d", redis="redis://h", mqtt="mqtt://h")
    with stack.start(folder, given, lambda _: None) as up:
        servers = (up.kafka, up.database, up.redis, up.mqtt)
        assert [server.kind for server in servers] == ["given"] * 4
        assert [server.address for server in servers] == ["h:1", "postgresql://h/d", "redis://h", "mqtt://h"]
        assert "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS" in up.kafka.how
        assert all(server.alive for server in servers)


def test_a_part_that_fails_stops_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Server] = []
    really = valkey.start

    def noted(folder: Path, say: Say) -> Server:
        started.append(really(folder, say))
        return started[0]

    def fails(_folder: Path, _say: Say) -> Server:
        raise NothingToStartError("MQTT", "TIDEGATE_MQTT__URL", ["no broker"])

    monkeypatch.setattr(valkey, "start", noted)
    monkeypatch.setattr(mqtt, "start", fails)
    given = stack.Given(kafka="h:1", database="postgresql://h/d")
    with pytest.raises(NothingToStartError, match="TIDEGATE_MQTT__URL"):
        stack.start(folder, given, lambda _: None)
    assert len(started) == 1
    assert not started[0].alive
    lock.release(lock.acquire(folder / "in-use"))


def test_a_data_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(stack.DataDirError, match=r"file/data cannot be used: .*another data directory"):
        stack.start(tmp_path / "file" / "data", stack.Given(), lambda _: None)
