"""Many records at once: all are confirmed, or somebody hears of it."""

from dataclasses import replace
from random import Random

import pytest

from connectors.embedded import ports
from connectors.kafka.admin import Admin
from connectors.kafka.bulk import BulkProducer
from connectors.kafka.consumer import read
from connectors.kafka.producer import DeliveryError, Outgoing
from connectors.kafka.settings import KafkaSettings
from schemas.topics import READINGS

pytestmark = pytest.mark.kafka


def test_all_are_there_each_key_in_order_with_headers(kafka: KafkaSettings, topic: str) -> None:
    producer = BulkProducer(kafka)
    for start in (0, 500):
        producer.publish(
            Outgoing(topic, b"device-%d" % (number % 7), b"%d" % number, {"n": b"%d" % number})
            for number in range(start, start + 500)
        )
        # Confirmed means there.
        bounds = Admin(kafka).bounds((topic, number) for number in range(3))
        assert sum(bound.end for bound in bounds.values()) == start + 500
    producer.close()
    found = [record for chunk in read(kafka, bounds) for record in chunk.records]
    for device in range(7):
        theirs = [int(one.value() or b"") for one in found if one.key() == b"device-%d" % device]
        assert theirs == list(range(device, 1_000, 7))
    assert all(one.headers() == [("n", one.value())] for one in found)


def test_one_that_is_refused_is_heard_of_and_the_next_ones_are_not_to_blame(kafka: KafkaSettings, topic: str) -> None:
    producer = BulkProducer(kafka)
    # What the broker refuses, which sees it compressed, and what the client does.
    too_large = Outgoing(topic, b"a", Random(1).randbytes(READINGS.max_message_bytes + 10_000))  # noqa: S311  # no secret
    with pytest.raises(DeliveryError, match=topic):
        producer.publish([Outgoing(topic, b"a", b"1"), too_large])
    with pytest.raises(DeliveryError, match=topic):
        producer.publish([replace(too_large, value=b"x" * 3 * READINGS.max_message_bytes)])
    producer.publish([Outgoing(topic, b"a", b"2")])
    producer.close()


def test_a_broker_that_is_away_is_waited_for_and_then_said_to_be() -> None:
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{ports.free()}", delivery_timeout_s=1)
    producer = BulkProducer(nobody)
    with pytest.raises(DeliveryError):
        producer.publish([Outgoing("readings", b"a", b"1")])
    producer.close()
