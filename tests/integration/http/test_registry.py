"""Stock clients of a Confluent registry read and write our topics, with no word of ours in them."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, StringSerializer

from connectors.http.parts import Parts
from connectors.kafka.settings import KafkaSettings
from schemas import codec
from schemas.models import Reading
from schemas.registry import BY_ID, READING
from schemas.topics import SUBJECTS
from tests.integration.http.conftest import Client

pytestmark = [pytest.mark.kafka, pytest.mark.database]

Start = Callable[[Parts], Client]

WRITTEN = {
    "device_id": "pump-7",
    "ts": datetime(2026, 3, 1, tzinfo=UTC),
    "metrics": {"t": 21.5},
    "units": {},
    "tags": {},
}
READ = Reading(device_id="pump-7", ts=datetime(2026, 3, 1, tzinfo=UTC), metrics={"t": 21.5})


@pytest.fixture
def gateway(start: Start, parts: Parts) -> Client:
    return start(parts)


@pytest.fixture
def registry(gateway: Client) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": f"http://127.0.0.1:{gateway.port}"}) as client:
        yield client


def test_the_python_serializer_writes_what_we_read(
    registry: SchemaRegistryClient, kafka: KafkaSettings, topic: str, in_kafka: Callable[[], list[Reading]]
) -> None:
    # The subject is that of the real topic, whatever the test's is called.
    serialize = AvroSerializer(registry, READING.text, conf={"auto.register.schemas": True})
    value = serialize(WRITTEN, SerializationContext("readings", MessageField.VALUE))
    assert value is not None
    producer = Producer({**kafka.client(), "partitioner": "murmur2_random"})
    producer.produce(topic, value, StringSerializer()("pump-7"))
    assert producer.flush(20) == 0
    assert in_kafka() == [READ]
    latest = AvroSerializer(registry, conf={"auto.register.schemas": False, "use.latest.version": True})
    assert latest(WRITTEN, SerializationContext("readings", MessageField.VALUE)) == value


def test_the_python_deserializer_reads_what_we_write(registry: SchemaRegistryClient) -> None:
    read = AvroDeserializer(registry)(codec.encode(READ), SerializationContext("readings", MessageField.VALUE))
    assert read == {**WRITTEN, "seq": None}


def test_the_registry_says_what_there_is(registry: SchemaRegistryClient) -> None:
    assert sorted(registry.get_subjects()) == sorted(SUBJECTS)
    for subject, versions in SUBJECTS.items():
        assert registry.get_versions(subject) == [version.version for version in versions]
        latest = registry.get_latest_version(subject)
        assert (latest.schema_id, latest.version) == (versions[-1].id, versions[-1].version)
        for version in versions:
            found = registry.lookup_schema(subject, Schema(version.text, "AVRO"))
            assert (found.schema_id, found.version) == (version.id, version.version)
            assert registry.register_schema(subject, Schema(version.text, "AVRO")) == version.id
    assert registry.get_compatibility("readings-value") == "BACKWARD"
    old, new = (Schema(version.text, "AVRO") for version in SUBJECTS["analysis-requests-value"][:2])
    assert registry.test_compatibility("analysis-requests-value", new, 1)
    assert not registry.test_compatibility("readings-value", old)


def test_what_is_not_ours_is_refused_as_a_registry_does(registry: SchemaRegistryClient, gateway: Client) -> None:
    foreign = Schema(json.dumps({"type": "record", "name": "X", "fields": []}), "AVRO")
    for do, status, code in (
        (lambda: registry.register_schema("readings-value", foreign), 422, 42205),
        (lambda: registry.lookup_schema("readings-value", foreign), 404, 40403),
        (lambda: registry.get_versions("nothing-value"), 404, 40401),
        (lambda: registry.get_version("readings-value", 99), 404, 40402),
        (lambda: registry.get_schema(1), 404, 40403),
    ):
        with pytest.raises(SchemaRegistryError) as refused:
            do()
        assert (refused.value.http_status_code, refused.value.error_code) == (status, code)
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    deep = json.dumps({"schema": "[" * 5000 + "]" * 5000})
    for body in ("", "[]", "{}", '{"schema": 1}', '{"schema": "{"}', '{"schema": "1", "schemaType": "JSON"}', deep):
        for path in ("/subjects/readings-value/versions", "/compatibility/subjects/readings-value/versions/latest"):
            answer = gateway.request("POST", path, body.encode(), headers)
            assert answer.status == 422, (path, body)
    assert set(BY_ID) == {version.id for versions in SUBJECTS.values() for version in versions}


@pytest.mark.timeout(180)
def test_kafkajs_reads_and_writes_them_too(
    node_modules: Path,
    gateway: Client,
    kafka: KafkaSettings,
    topic: str,
    in_kafka: Callable[[], list[Reading]],
) -> None:
    ours = replace_device("pump-8")
    producer = Producer(kafka.client())
    producer.produce(topic, codec.encode(ours), b"pump-8")
    assert producer.flush(20) == 0
    done = subprocess.run(
        ["node", "registry.cjs"],  # noqa: S607  # whichever there is
        cwd=node_modules,
        env={
            **os.environ,
            "BROKERS": kafka.bootstrap_servers,
            "REGISTRY": f"http://127.0.0.1:{gateway.port}",
            "TOPIC": topic,
            "KAFKAJS_NO_PARTITIONER_WARNING": "1",
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    assert (read["device_id"], read["metrics"]) == ("pump-8", {"t": 21.5})
    assert sorted(one.device_id for one in in_kafka()) == ["pump-7", "pump-8"]
    placed = partitions(kafka, topic)
    assert placed["pump-7"] == placed_by_us(kafka, topic, "pump-7"), "the same device has one home, whoever writes"


def replace_device(device_id: str) -> Reading:
    return READ.model_copy(update={"device_id": device_id})


def partitions(kafka: KafkaSettings, topic: str) -> dict[str, int]:
    consumer = Consumer({**kafka.client(), "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in (0, 1)])
    found: dict[str, int] = {}
    while "pump-7" not in found:
        message = consumer.poll(10)
        assert message is not None
        found[(message.key() or b"").decode()] = message.partition() or 0
    consumer.close()
    return found


def placed_by_us(kafka: KafkaSettings, topic: str, device_id: str) -> int | None:
    placed: list[int | None] = []
    producer = Producer({**kafka.client(), "partitioner": "murmur2_random"})
    value = codec.encode(replace_device(device_id))
    producer.produce(
        topic, value, device_id.encode(), on_delivery=lambda _, message: placed.append(message.partition())
    )
    producer.flush(20)
    return placed[0]
