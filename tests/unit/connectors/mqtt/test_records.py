"""What a message becomes in Kafka."""

from datetime import UTC, datetime

from connectors.mqtt.records import MAX_RECORD, records
from schemas import codec
from schemas.models import DeadLetter, Reading

ARRIVED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TOPIC = "devices/pump-7/readings"


def dead_letter(topic: str, payload: bytes) -> DeadLetter:
    [record], refused = records(topic, payload, ARRIVED, "eu")
    assert refused
    assert record.topic == "dead-letters"
    letter = codec.decode(record.value, DeadLetter)
    assert letter.key == record.key
    return letter


def test_a_reading_is_keyed_by_its_device() -> None:
    found, refused = records("devices/pumpe-süd/readings", b'[{"a": 1}, {"a": 2}]', ARRIVED)
    assert not refused
    assert [(one.topic, one.key) for one in found] == [("readings", "pumpe-süd".encode())] * 2
    assert [codec.decode(one.value, Reading).metrics for one in found] == [{"a": 1.0}, {"a": 2.0}]


def test_a_dead_letter_keeps_what_came() -> None:
    letter = dead_letter(TOPIC, b"\xff\xfe")
    assert (letter.stage, letter.reason, letter.region) == ("mqtt", "encoding", "eu")
    assert (letter.topic, letter.key, letter.value, letter.created) == (TOPIC, b"pump-7", b"\xff\xfe", ARRIVED)
    assert letter.headers == {}


def test_a_dead_letter_of_no_device_has_no_key() -> None:
    assert dead_letter("weather", b"{}").key is None


def test_its_id_depends_on_topic_and_payload_only() -> None:
    first = dead_letter(TOPIC, b"x")
    later, _ = records(TOPIC, b"x", datetime(2027, 1, 1, tzinfo=UTC), "eu")
    assert codec.decode(later[0].value, DeadLetter).id == first.id
    assert len({first.id, dead_letter(TOPIC, b"y").id, dead_letter("devices/pump-8/readings", b"x").id}) == 3


def test_what_no_kafka_record_can_hold_is_cut_and_named() -> None:
    payload = b"x" * (MAX_RECORD + 1)
    letter = dead_letter(TOPIC, payload)
    assert letter.reason == "size"
    assert letter.value == payload[:MAX_RECORD]
    assert letter.headers["original-size"] == b"900001"
    assert len(letter.headers["original-sha256"]) == 64


def test_a_reading_that_grows_too_large_is_poison() -> None:
    body = b",".join(b'{"n":"%d","v":1}' % number for number in range(12_000))
    letter = dead_letter(TOPIC, b'[{"bn":"pump-7:","bu":"%s"},' % (b"x" * 100) + body + b"]")
    assert letter.reason == "size"


def test_the_detail_can_always_be_written() -> None:
    letter = dead_letter(TOPIC, b'{"metrics": {"a": 1}, "\\ud800": 1}')
    assert letter.detail
    assert letter.detail.isascii()
