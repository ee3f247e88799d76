"""The bridge against real brokers: what is acknowledged is in Kafka, and what is not comes again."""

import itertools
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from paho.mqtt import publish as paho

from connectors.mqtt.publisher import Publisher
from connectors.mqtt.settings import MqttSettings
from tests.integration.mqtt.conftest import Broker, Kafka, Start, StartMosquitto, Until, Wire

pytestmark = pytest.mark.mqtt

AMQTT_FORGETS = "amqtt forgets the messages that were in flight when a connection ends"


def publish(address: str, count: int, *, devices: int = 1, first: int = 0) -> None:
    with Publisher(MqttSettings(url=address)) as publisher:
        for number in range(first, first + count):
            publisher.publish(f"devices/d{number % devices}/readings", json.dumps({"n": number}).encode())
        publisher.flush()


def numbers(kafka: Kafka, device: str | None = None) -> list[int]:
    return [int(one.metrics["n"]) for one in kafka.readings() if device in {None, one.device_id}]


def test_puback_waits_for_the_report_and_keeps_the_order_of_arrival(
    broker: Broker, wire: Wire, kafka: Kafka, start: Start, until: Until
) -> None:
    kafka.holding = True
    running = start(wire.address, kafka)
    publish(broker.address, 20)
    until(lambda: len(kafka.held) == 20)
    kafka.release(lambda held: held[1:][::-1])  # all but the first, last to first
    until(lambda: running.bridge.snapshot()["sent"] == 19)
    assert wire.acks[-1] == []
    assert running.bridge.snapshot()["in_flight"] == 20
    kafka.release()
    until(lambda: len(wire.acks[-1]) == 20)
    assert wire.acks[-1] == wire.published[-1]


def test_a_cut_between_receipt_and_report_loses_nothing_and_acknowledges_nothing_stale(
    broker: Broker, wire: Wire, kafka: Kafka, start: Start, until: Until
) -> None:
    kafka.holding = True
    running = start(wire.address, kafka)
    publish(broker.address, 10)
    until(lambda: len(kafka.held) == 10)
    wire.cut()
    until(lambda: not running.bridge.connected)
    connections = len(wire.acks)
    publish(broker.address, 10, first=10)
    kafka.release(lambda held: held[:9])
    until(lambda: running.bridge.snapshot()["sent"] == 9)
    assert len(wire.acks) == connections, "no new connection while Kafka has not taken what the last one brought"
    kafka.release()
    again = 10 if broker.kind == "mosquitto" else 0  # amqtt forgets what was in flight
    until(lambda: len(kafka.held) == 10 + again)
    assert [acks for acks in wire.acks if acks] == []
    kafka.release()
    until(lambda: wire.acks[-1] and wire.acks[-1] == wire.published[-1])
    assert numbers(kafka) == [*range(10), *range(10 - again, 20)]
    assert running.bridge.snapshot()["reconnects"] == 1


def test_a_killed_bridge_loses_nothing(
    broker: Broker, kafka: Kafka, start: Start, until: Until, tmp_path: Path
) -> None:
    program = textwrap.dedent(f"""
        from connectors.mqtt.bridge import Bridge
        from connectors.mqtt.settings import MqttSettings
        class Never:
            def send(self, topic, key, value, *, headers=None, on_delivery):
                print("taken", flush=True)
        Bridge(MqttSettings(url="{broker.address}"), Never()).run()
    """)
    taken = tmp_path / "taken"
    with taken.open("wb") as out, subprocess.Popen([sys.executable, "-c", program], stdout=out) as process:  # noqa: S603  # our own
        # Its session must exist before anything is published, or the broker has nobody to keep it for.
        with Publisher(broker.settings()) as publisher:
            end = time.monotonic() + 20
            while not taken.read_bytes() and time.monotonic() < end:
                publisher.publish("devices/d0/readings", b'{"n": -1}')
                publisher.flush()
                time.sleep(0.05)
        publish(broker.address, 50)
        until(lambda: taken.read_bytes().count(b"taken") >= 50)
        process.kill()
    if broker.kind == "amqtt":
        pytest.skip(AMQTT_FORGETS)
    running = start(broker.address, kafka)
    until(lambda: set(range(50)) <= set(numbers(kafka)))
    until(lambda: running.bridge.snapshot()["in_flight"] == 0)
    assert [number for number in numbers(kafka) if number >= 0] == list(range(50))


def test_messages_of_the_time_away_are_delivered_and_acknowledged_ones_are_not_again(
    broker: Broker, kafka: Kafka, start: Start, until: Until
) -> None:
    first = start(broker.address, kafka)
    publish(broker.address, 10)
    until(lambda: first.bridge.snapshot()["acknowledged"] == 10)
    first.stop()
    publish(broker.address, 10, first=10)
    second = start(broker.address, kafka)
    until(lambda: second.bridge.snapshot()["acknowledged"] == 10)
    assert numbers(kafka) == list(range(20))


def test_order_is_kept_within_each_device(broker: Broker, kafka: Kafka, start: Start, until: Until) -> None:
    start(broker.address, kafka)
    publish(broker.address, 600, devices=7)
    until(lambda: len(kafka.confirmed) == 600)
    for device in range(7):
        assert numbers(kafka, f"d{device}") == [number for number in range(600) if number % 7 == device]
    assert all(key == f"d{number % 7}".encode() for number, (_, key, _) in enumerate(kafka.taken))


def test_what_kafka_refuses_is_sent_again_in_order_and_acknowledged_late(
    broker: Broker, wire: Wire, kafka: Kafka, start: Start, until: Until
) -> None:
    kafka.holding = True
    running = start(wire.address, kafka)
    publish(broker.address, 10)
    until(lambda: len(kafka.held) == 10)
    kafka.refuse = lambda index: 3 <= index < 10
    kafka.release(lambda held: held[:9])
    until(lambda: len(wire.acks[-1]) == 3)
    publish(broker.address, 5, first=10)
    until(lambda: running.bridge.snapshot()["received"] == 15)
    assert len(kafka.taken) == 10, "nothing may overtake while a report is out"
    kafka.holding = False
    kafka.release()
    until(lambda: len(wire.acks[-1]) == 15)
    assert numbers(kafka) == list(range(15))
    assert running.bridge.snapshot()["retried"] == 7
    assert wire.acks[-1] == wire.published[-1]


def test_when_kafka_stays_away_the_messages_go_back_to_the_broker(
    broker: Broker, kafka: Kafka, start: Start, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.mqtt.window.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("connectors.mqtt.window.LONGEST_PAUSE", 0.001)
    away = True
    kafka.refuse = lambda _: away
    if broker.kind == "amqtt":
        pytest.skip(AMQTT_FORGETS)
    running = start(broker.address, kafka)
    publish(broker.address, 5)
    until(lambda: running.bridge.snapshot()["reconnects"] >= 1)
    assert running.bridge.snapshot()["acknowledged"] == 0
    away = False
    until(lambda: running.bridge.snapshot()["acknowledged"] == 5)
    assert set(numbers(kafka)) == set(range(5))


def test_poison_is_kept_and_then_acknowledged(
    broker: Broker, wire: Wire, kafka: Kafka, start: Start, until: Until
) -> None:
    kafka.holding = True
    running = start(wire.address, kafka, region="eu")
    with Publisher(broker.settings()) as publisher:
        for payload in (b'{"a": NaN}', b'{"n": 1}', b"\xff\x00", b'{"a": NaN}'):
            publisher.publish("devices/d0/readings", payload)
        publisher.flush()
    until(lambda: len(kafka.held) == 4)
    assert wire.acks[-1] == []
    kafka.release()
    until(lambda: len(wire.acks[-1]) == 4)
    letters = kafka.dead_letters()
    assert [(one.stage, one.reason, one.topic, one.key, one.value, one.region) for one in letters] == [
        ("mqtt", "value", "devices/d0/readings", b"d0", b'{"a": NaN}', "eu"),
        ("mqtt", "encoding", "devices/d0/readings", b"d0", b"\xff\x00", "eu"),
        ("mqtt", "value", "devices/d0/readings", b"d0", b'{"a": NaN}', "eu"),
    ]
    assert letters[0].id == letters[2].id != letters[1].id
    assert [topic for topic, _, _ in kafka.taken].count("readings") == 1
    assert running.bridge.snapshot()["dead_lettered"] == 3


@pytest.mark.parametrize("slow", ["queue full", "reports out"])
def test_a_slow_kafka_bounds_what_is_held(broker: Broker, kafka: Kafka, start: Start, until: Until, slow: str) -> None:
    kafka.holding = True
    if slow == "queue full":
        kafka.capacity = 5
    running = start(broker.address, kafka, in_flight=50)
    publish(broker.address, 500)
    until(lambda: running.bridge.snapshot()["in_flight"] >= 50)
    most = 0
    for _ in range(100):
        most = max(most, running.bridge.snapshot()["in_flight"])
        time.sleep(0.002)
    assert most <= 51
    kafka.capacity, kafka.holding = 10**9, False
    kafka.release()
    until(lambda: running.bridge.snapshot()["acknowledged"] == 500)
    assert numbers(kafka) == list(range(500))


def test_qos_0_is_carried_without_an_acknowledgement(
    broker: Broker, wire: Wire, kafka: Kafka, start: Start, until: Until
) -> None:
    start(wire.address, kafka)
    paho.single("devices/d0/readings", b'{"n": 1}', qos=0, hostname="127.0.0.1", port=broker.port)
    until(lambda: numbers(kafka) == [1])
    if broker.kind == "mosquitto":  # amqtt raises it to the subscription's QoS 1
        assert wire.acks[-1] == []


def test_a_stop_waits_for_what_is_in_flight(
    broker: Broker, wire: Wire, kafka: Kafka, start: Start, until: Until
) -> None:
    kafka.holding = True
    running = start(wire.address, kafka, drain_s=20.0)
    publish(broker.address, 3)
    until(lambda: len(kafka.held) == 3)
    running.bridge.stop()
    assert not running.ended
    kafka.release()
    until(lambda: running.ended, 10)
    until(lambda: wire.acks[-1] == wire.published[-1])


def test_a_stop_does_not_wait_for_ever(broker: Broker, kafka: Kafka, start: Start, until: Until) -> None:
    kafka.holding = True
    running = start(broker.address, kafka, drain_s=0.2)
    publish(broker.address, 3)
    until(lambda: len(kafka.held) == 3)
    running.bridge.stop()
    until(lambda: running.ended, 5)
    assert running.error is None


def test_a_broker_that_restarts_loses_nothing(
    start_mosquitto: StartMosquitto, kafka: Kafka, start: Start, until: Until
) -> None:
    broker = start_mosquitto()
    running = start(broker.address, kafka)
    with Publisher(broker.settings()) as publisher:
        for number in range(300):
            publisher.publish("devices/d0/readings", json.dumps({"n": number}).encode())
            if number == 150:
                broker.stop()
                broker.start()
        publisher.flush()
    until(lambda: set(numbers(kafka)) == set(range(300)))
    until(lambda: running.bridge.snapshot()["in_flight"] == 0)
    first_seen = list(dict.fromkeys(numbers(kafka)))
    assert first_seen == sorted(first_seen)
    assert running.bridge.snapshot()["reconnects"] >= 1


def test_two_bridges_with_one_name_do_not_chase_each_other_at_full_speed(
    start_mosquitto: StartMosquitto, kafka: Kafka, start: Start, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    broker = start_mosquitto()
    bridges = [start(broker.address, kafka), start(broker.address, kafka)]
    until(lambda: "Does another client use the id 'tidegate-bridge'?" in caplog.text)
    assert max(running.bridge.reconnects for running in bridges) < 10


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_version_can_be_chosen(
    start_mosquitto: StartMosquitto, kafka: Kafka, start: Start, until: Until, version: str
) -> None:
    broker = start_mosquitto()
    start(broker.address, kafka, version=version)
    publish(broker.address, 10)
    until(lambda: numbers(kafka) == list(range(10)))


def test_an_error_of_the_producer_ends_the_bridge_and_acknowledges_nothing(
    broker: Broker, wire: Wire, start: Start, until: Until, kafka: Kafka
) -> None:
    class Broken:
        def send(self, *_: object, **__: object) -> None:
            message = "fenced"
            raise RuntimeError(message)

    if broker.kind == "amqtt":
        pytest.skip(AMQTT_FORGETS)
    running = start(wire.address, Broken())
    publish(broker.address, 3)
    until(lambda: running.ended)
    assert isinstance(running.error, RuntimeError)
    assert list(itertools.chain(*wire.acks)) == []
    start(broker.address, kafka)
    until(lambda: numbers(kafka) == [0, 1, 2])
