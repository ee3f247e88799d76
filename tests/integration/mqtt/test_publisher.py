"""The device's side against real brokers."""

import json
import threading

import pytest

from connectors.errors import UnreachableError
from connectors.mqtt.errors import StalledError
from connectors.mqtt.publisher import Publisher
from connectors.mqtt.settings import MqttSettings
from tests.integration.mqtt.conftest import Broker, Kafka, Start, StartMosquitto, Until, Wire

pytestmark = pytest.mark.mqtt


def numbers(kafka: Kafka) -> list[int]:
    return [int(one.metrics["n"]) for one in kafka.readings()]


def test_each_acknowledgement_is_told_once(broker: Broker) -> None:
    told = []
    with Publisher(broker.settings(), on_acknowledged=lambda: told.append(1)) as publisher:
        for number in range(250):
            publisher.publish("devices/d0/readings", b'{"n": %d}' % number)
        publisher.flush()
        assert len(told) == publisher.acknowledged == 250


def test_the_window_bounds_what_is_in_flight(wire: Wire) -> None:
    with Publisher(MqttSettings(url=wire.address), in_flight=10, stall_s=0.5) as publisher:
        wire.freeze()
        for number in range(10):
            publisher.publish("devices/d0/readings", b'{"n": %d}' % number)
        with pytest.raises(StalledError, match="10 messages wait"):
            publisher.publish("devices/d0/readings", b'{"n": 10}')


def test_a_cut_connection_loses_nothing_and_keeps_the_order(
    broker: Broker, wire: Wire, kafka: Kafka, start: Start, until: Until
) -> None:
    start(broker.address, kafka)
    with Publisher(broker.settings(wire.address), in_flight=50) as publisher:
        for number in range(1000):
            publisher.publish("devices/d0/readings", json.dumps({"n": number}).encode())
            if number % 300 == 299:
                wire.cut()
        publisher.flush()
        assert publisher.acknowledged == 1000
    until(lambda: set(numbers(kafka)) == set(range(1000)))
    first_seen = list(dict.fromkeys(numbers(kafka)))
    assert first_seen == sorted(first_seen)


def publish_and_flush(publisher: Publisher) -> None:
    publisher.publish("devices/d0/readings", b'{"n": 2}')
    publisher.flush()


def test_a_broker_that_went_away_is_named(start_mosquitto: StartMosquitto) -> None:
    broker = start_mosquitto()
    with Publisher(broker.settings(), stall_s=0.5) as publisher:
        publisher.publish("devices/d0/readings", b'{"n": 1}')
        publisher.flush()
        broker.stop()
        with pytest.raises(UnreachableError, match=f"{broker.address}.*TIDEGATE_MQTT__URL"):
            publish_and_flush(publisher)
        broker.start()
        publisher.flush()
        assert publisher.acknowledged == 2


def test_a_flush_that_meets_silence_fails(wire: Wire) -> None:
    with Publisher(MqttSettings(url=wire.address), stall_s=0.5) as publisher:
        wire.freeze()
        publisher.publish("devices/d0/readings", b'{"n": 1}')
        with pytest.raises(StalledError):
            publisher.flush()


def test_slow_progress_is_progress(wire: Wire) -> None:
    with Publisher(MqttSettings(url=wire.address), in_flight=1, stall_s=1.0) as publisher:
        for number in range(3):
            wire.freeze()
            threading.Timer(0.6, wire.thaw).start()
            publisher.publish("devices/d0/readings", b'{"n": %d}' % number)
        publisher.flush()
        assert publisher.acknowledged == 3


def test_what_nobody_hears_is_counted(start_mosquitto: StartMosquitto, kafka: Kafka, start: Start) -> None:
    broker = start_mosquitto()
    unheard = Publisher(broker.settings())
    with unheard:
        unheard.publish("devices/d0/readings", b'{"n": 1}')
        unheard.flush()
    assert unheard.unheard == 1
    start(broker.address, kafka)
    heard = Publisher(broker.settings())
    with heard:
        heard.publish("devices/d0/readings", b'{"n": 1}')
        heard.flush()
    assert heard.unheard == 0
