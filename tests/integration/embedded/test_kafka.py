"""The ways to a Kafka broker, where the first ones are not there."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.embedded import java, kafka, noida
from connectors.embedded.server import Server, UnavailableError

JAVA = f"""#!{sys.executable}
import sys
sys.stderr.write('openjdk version "{{version}}" 2025-04-15\\n')
"""
MAVEN = f"""#!{sys.executable}
import os, sys, time
open(os.environ["MAVEN_RAN"], "w").write(str(os.getpid()))
{{body}}
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a PATH that has nothing but what a test puts there, and an empty cache."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAVEN_RAN", str(tmp_path / "maven-ran"))
    monkeypatch.setattr("connectors.embedded.containers.docker_answers", lambda: False)
    return path


def put(path: Path, name: str, text: str) -> None:
    (path / name).write_text(text)
    (path / name).chmod(0o755)


@pytest.fixture
def wheel(folder: Path) -> Iterator[Server]:
    server = noida.start(folder, lambda _: None, kafka.answers)
    yield server
    server.stop()


def test_a_maven_that_hangs_is_given_up_and_the_wheel_taken(
    tools: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tools, "java", JAVA.format(version="17.0.1"))
    put(tools, "mvn", MAVEN.format(body="time.sleep(600)"))
    monkeypatch.setattr(java, "STALLED_S", 1.0)
    said: list[str] = []
    began = time.monotonic()
    server = kafka.start(folder, said.append)
    try:
        assert time.monotonic() - began < 10
        assert server.kind == noida.KIND
        assert server.alive
        assert "no Docker engine answers; Maven fetched nothing for 1 s" in server.how
        assert any("stand-in" in line for line in said)
    finally:
        server.stop()
    assert not psutil.pid_exists(int((tmp_path / "maven-ran").read_text()))
    assert not java.cached(java.BROKER)


def test_a_maven_that_makes_progress_is_waited_for(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
for step in range(8):
    print("downloading", step, flush=True)
    time.sleep(0.25)
(out,) = [a.split("=", 1)[1] for a in sys.argv if a.startswith("-DoutputDirectory=")]
open(os.path.join(out, "kafka.jar"), "w").write("jar")
"""
    put(tools, "mvn", MAVEN.format(body=body))
    monkeypatch.setattr(java, "STALLED_S", 1.0)
    assert [jar.name for jar in java.jars(java.BROKER).iterdir()] == ["kafka.jar"]
    assert java.cached(java.BROKER)
    (tools / "mvn").unlink()
    assert java.jars(java.BROKER).is_dir()  # from now on without Maven
    assert [entry.name for entry in (tmp_path / "cache" / "tidegate").iterdir() if entry.name.startswith(".")] == []


def test_what_maven_complains_of_is_told_and_nothing_is_cached(tools: Path) -> None:
    put(tools, "mvn", MAVEN.format(body="print('[ERROR] no route to the registry'); sys.exit(1)"))
    with pytest.raises(UnavailableError, match="no route to the registry"):
        java.jars(java.BROKER)
    assert not java.cached(java.BROKER)


def test_without_maven_or_with_an_old_java_the_reason_is_said(tools: Path) -> None:
    with pytest.raises(UnavailableError, match="no Maven"):
        java.jars(java.BROKER)
    with pytest.raises(UnavailableError, match="no Java"):
        java.java()
    put(tools, "java", JAVA.format(version="11.0.2"))
    with pytest.raises(UnavailableError, match="older than 17"):
        java.java()
    put(tools, "java", JAVA.format(version="1.8.0_292"))
    with pytest.raises(UnavailableError, match="older than 17"):
        java.java()
    put(tools, "java", JAVA.format(version="21-ea"))
    assert java.java() == (str(tools / "java"), 21)


def test_a_cache_that_cannot_be_written_is_one_more_reason(tools: Path, tmp_path: Path) -> None:
    put(tools, "mvn", MAVEN.format(body=""))
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UnavailableError, match="cannot be kept in"):
        java.jars(java.BROKER)


def test_the_wheel_carries_records_keeps_them_and_locates_itself_behind_its_pacing(folder: Path, wheel: Server) -> None:
    client = AdminClient({"bootstrap.servers": wheel.address})
    brokers = client.list_topics(timeout=5).brokers.values()
    assert [f"{broker.host}:{broker.port}" for broker in brokers] == [wheel.address]
    client.create_topics([NewTopic("t", 2, 1)])["t"].result(10)
    confirmed: list[object] = []
    producer = Producer({"bootstrap.servers": wheel.address, "enable.idempotence": True, "acks": "all"})
    for number in range(1000):
        producer.produce("t", str(number), key=str(number % 7), on_delivery=lambda error, _: confirmed.append(error))
    assert producer.flush(10) == 0
    assert confirmed == [None] * 1000
    wheel.stop()
    again = noida.start(folder, lambda _: None, kafka.answers)
    try:
        assert again.address == wheel.address
        consumer = Consumer({"bootstrap.servers": again.address, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["t"])
        values = {message.value() for message in consumer.consume(1000, timeout=15)}
        assert values == {str(number).encode() for number in range(1000)}
        consumer.close()
    finally:
        again.stop()


def test_an_idle_consumer_of_the_wheel_does_not_spin(wheel: Server) -> None:
    client = AdminClient({"bootstrap.servers": wheel.address})
    client.create_topics([NewTopic("t", 4, 1)])["t"].result(10)
    consumer = Consumer({"bootstrap.servers": wheel.address, "group.id": "g"})
    consumer.subscribe(["t"])
    consumer.consume(1, timeout=1)
    # This process and the broker: what else the suite has running is none of this test's business.
    brokers = [child for child in psutil.Process().children(recursive=True) if child.cwd() == str(wheel.data_dir)]
    assert brokers

    def busy_s() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in (psutil.Process(), *brokers))

    before = busy_s()
    consumer.consume(1, timeout=2)
    spent = busy_s() - before
    consumer.close()
    assert spent < 1.0  # of processor time, not of the clock; without pacing: about 2 s, client and broker together


@pytest.mark.kafka
def test_the_suites_own_broker_answers(kafka_server: Server) -> None:
    assert kafka.answers(kafka_server.address)()


@pytest.mark.apache_kafka
def test_a_broker_that_is_no_stand_in_has_a_cluster_id_of_its_own(kafka_server: Server) -> None:
    cluster = AdminClient({"bootstrap.servers": kafka_server.address}).list_topics(timeout=5).cluster_id
    assert cluster != "MkU3OEVBNTctOEUyRi00"  # the same of every noida-db
    if kafka_server.data_dir is not None and (file := kafka_server.data_dir / "cluster-id").exists():
        assert cluster == file.read_text()
