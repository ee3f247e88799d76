"""The bench `publish`: rates from the times of arrival, what waits for arrivals gives up, and what is said follows."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from connectors.http.payload import read
from connectors.mqtt.payloads import readings as read_mqtt
from connectors.mqtt.settings import MqttSettings
from schemas.codec import decode
from schemas.models import Reading
from scripts.benches import arrivals, payloads, subscribers, waiting
from scripts.benches.commits import Span
from scripts.benches.publish import BARE_PRODUCER, EMQX, GATEWAY, PRODUCER, SYSTEMS, Measured, report
from scripts.benches.subscribers import BRIDGE, COUNTER, FORWARDER, MOSQUITTO_SUB


def test_the_rate_follows_from_the_times_of_arrival_in_any_order() -> None:
    times = np.array([3000, 1000, 1000, 2000, 3000, 3000, 2000, 1000, 3000, 2000])
    # Two of ten are left out; the third record, of the first instant, completes them: seven arrive in two seconds.
    assert arrivals.span(times, left_out=0.2) == Span(1.0, 3.0, 7)
    assert arrivals.span(np.array([1000, 1000])) is None


def test_a_subscribers_lines_are_counts_or_times_of_single_messages() -> None:
    counted = subscribers.span("10.000000 50\n11.000000 100\n13.000000 200\n")
    assert counted == Span(10.0, 13.0, 150)
    single = "10.1\n10.2\n10.3\n10.4\n"
    assert subscribers.span(single) == Span(10.1, 10.4, 3)
    assert (subscribers.received("10.0 50\n11.0 100\n"), subscribers.received(single)) == (100, 4)


def test_a_subscribers_line_counts_when_it_is_complete() -> None:
    log = "Connection error\n10.0 50\n11.0 100\n12.0 15"
    assert subscribers.received(log) == 100
    assert subscribers.span(log) == Span(10.0, 11.0, 50)
    assert (subscribers.received(""), subscribers.span("")) == (0, None)


def test_mosquittos_own_is_measured_or_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MqttSettings(url="mqtt://127.0.0.1:1883")
    monkeypatch.setattr("shutil.which", lambda _name: None)
    chosen, versions = subscribers.ready(broker, 100)
    assert [one.name for one in chosen] == [BRIDGE, FORWARDER, COUNTER]
    assert versions == {"mosquitto_sub": "not measured: it is not installed"}
    monkeypatch.setattr("shutil.which", lambda _name: "/nowhere/mosquitto_sub")
    chosen, versions = subscribers.ready(broker, 100)
    assert chosen[-1].name == MOSQUITTO_SUB
    assert versions == {"mosquitto_sub": "of unknown version"}
    protected = MqttSettings(url="mqtts://127.0.0.1:8883")
    assert subscribers.ready(protected, 100)[1]["mosquitto_sub"].startswith("not measured")


def test_each_subscriber_has_a_session_of_its_own() -> None:
    chosen, _ = subscribers.ready(MqttSettings(url="mqtt://127.0.0.1:1883"), 100)
    assert len({one.client_id for one in chosen}) == len(chosen)


class Time:
    """A clock that goes on by pauses alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def test_waiting_ends_with_what_is_wanted_or_when_nothing_more_comes() -> None:
    time = Time()
    assert waiting.grown(lambda: min(100, int(time.now * 10)), 100, lambda: None, clock=time, pause=time.pause) == 100
    assert time.now == pytest.approx(10.0, abs=waiting.POLL_S)
    began = time.now
    assert waiting.grown(lambda: 7, 100, lambda: None, clock=time, pause=time.pause) == 7
    assert time.now - began == pytest.approx(waiting.STALLED_S, abs=2 * waiting.POLL_S)
    began = time.now
    assert waiting.grown(lambda: 0, 100, lambda: None, clock=time, pause=time.pause) == 0
    assert time.now - began == pytest.approx(waiting.STARTED_WITHIN_S, abs=2 * waiting.POLL_S)


def test_waiting_ends_with_the_process() -> None:
    def dead() -> None:
        raise arrivals.ArrivalsError("it ended by itself")

    with pytest.raises(arrivals.ArrivalsError):
        waiting.grown(lambda: 0, 1, dead)


def test_all_ways_in_carry_the_same_readings() -> None:
    count = 2 * payloads.DEVICES
    now = datetime.now(UTC)
    sent = list(payloads.readings(count, now))
    assert len({(reading.device_id, reading.ts) for reading in sent}) == count
    assert max(reading.ts for reading in sent) <= now

    def said(readings: list[Reading]) -> list[tuple[object, ...]]:
        return [(reading.device_id, reading.metrics, reading.seq) for reading in readings]

    over_mqtt = [read_mqtt(topic, payload, now)[0] for topic, payload in payloads.mqtt(count)]
    bodies = payloads.http(count, 300)
    contents = [read(body, lines=False, arrived=now) for body in bodies]
    over_http = [decode(value, Reading) for content in contents for _, value in content.records]
    to_kafka = [decode(record.value, Reading) for record in payloads.kafka(count)]
    assert said(over_mqtt) == said(over_http) == said(to_kafka) == said(sent)
    assert [len(json.loads(body)) for body in bodies] == [300, 300, 300, 300, 300, 300, 200]


def test_ratios_and_the_goal_follow_from_medians() -> None:
    figures = {
        BRIDGE: [Measured(9_000.0, 90.0), Measured(11_000.0, 80.0), Measured(10_000.0, 100.0)],
        FORWARDER: [Measured(8_000.0, 60.0)],
        PRODUCER: [Measured(50_000.0)],
        BARE_PRODUCER: [Measured(100_000.0)],
        GATEWAY: [Measured(7_000.0, 50.0)],
    }
    said = report(figures, {"EMQX": EMQX})
    (goal,) = said.goals
    assert (goal.value, goal.goal, goal.met) == (10_000.0, 10_000.0, True)
    assert said.ratios == {
        f"{BRIDGE} / {FORWARDER}": 1.25,
        f"{BRIDGE} / {COUNTER}": None,
        f"{BRIDGE} / {MOSQUITTO_SUB}": None,
        f"{PRODUCER} / {BARE_PRODUCER}": 0.5,
    }
    rates = [result for result in said.results if result.unit == "messages/s"]
    assert [result.system for result in rates] == [name for name, _ in SYSTEMS]
    assert {result.system: result.median for result in said.results if result.unit == "µs/message"} == {
        BRIDGE: 90.0,
        FORWARDER: 60.0,
        GATEWAY: 50.0,
    }


def test_a_bridge_that_was_not_measured_meets_no_goal() -> None:
    (goal,) = report({}, {}).goals
    assert (goal.value, goal.met) == (None, False)
    (slow,) = report({BRIDGE: [Measured(9_999.0)]}, {}).goals
    assert not slow.met
