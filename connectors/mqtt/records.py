"""What one MQTT message becomes in Kafka: its readings, or the dead letter that keeps it. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from connectors.mqtt.payloads import device_of, readings
from schemas import codec
from schemas.errors import PoisonError
from schemas.fields import deterministic_id
from schemas.models import DeadLetter, Reading
from schemas.topics import DEAD_LETTERS, READINGS

STAGE: Final = "mqtt"
# Kafka takes a million bytes a record by default; what stands around a dead letter's value needs some of them.
MAX_RECORD: Final = 900_000
_DETAIL: Final = 500


class KafkaRecord(NamedTuple):
    """One record to be sent."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes] | None = None


def records(topic: str, payload: bytes, arrived: datetime, region: str = "") -> tuple[list[KafkaRecord], bool]:
    """Give the records of a message, at least one, and whether they are its dead letter."""
    try:
        return [_record(reading) for reading in readings(topic, payload, arrived)], False
    except PoisonError as error:
        return [_dead_letter(error, topic, payload, arrived, region)], True


def _record(reading: Reading) -> KafkaRecord:
    value = codec.encode(reading)
    if len(value) > MAX_RECORD:
        raise PoisonError("size", f"a reading of {len(value)} bytes as Avro, and {MAX_RECORD} are allowed")
    return KafkaRecord(READINGS.name, reading.device_id.encode(), value)


def _dead_letter(error: PoisonError, topic: str, payload: bytes, arrived: datetime, region: str) -> KafkaRecord:
    """Keep the message. The same bytes refused for the same reason have the same id: redelivery adds nothing."""
    digest = hashlib.sha256(payload).hexdigest()
    headers = {}
    if len(payload) > MAX_RECORD:
        # No Kafka record can hold it whole: it is cut, and what it was is said.
        headers = {"original-size": str(len(payload)).encode(), "original-sha256": digest.encode()}
    try:
        key = device_of(topic).encode()
    except PoisonError:
        key = None
    letter = DeadLetter(
        id=deterministic_id(STAGE, topic, digest, error.reason),
        region=region,
        stage=STAGE,
        reason=error.reason,
        detail=error.detail.encode("utf-8", "backslashreplace").decode()[:_DETAIL],
        topic=topic,
        key=key,
        value=payload[:MAX_RECORD],
        headers=headers,
        created=arrived,
    )
    return KafkaRecord(DEAD_LETTERS.name, key, codec.encode(letter))
