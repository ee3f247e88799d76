"""Sending, reports in any order, retries: what may be acknowledged, and when."""

from collections.abc import Callable, Mapping

import pytest

from connectors.errors import SlowDownError
from connectors.mqtt.errors import UndeliveredError
from connectors.mqtt.records import KafkaRecord
from connectors.mqtt.window import SLOW_PAUSE, Window


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Producer:
    def __init__(self) -> None:
        self.capacity = 1000
        self.values: list[bytes] = []
        self.reports: list[Callable[[Exception | None], None]] = []

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        *,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: Callable[[Exception | None], None],
    ) -> None:
        assert (topic, key, headers) == ("readings", b"d", None)
        if len(self.reports) >= self.capacity:
            raise SlowDownError
        self.values.append(value)
        self.reports.append(on_delivery)


def record(value: int) -> KafkaRecord:
    return KafkaRecord("readings", b"d", b"%d" % value)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
def window(producer: Producer, clock: Clock) -> Window:
    return Window(producer, lambda: None, attempts=2, clock=clock)


def arrive(window: Window, *mids: int) -> None:
    for mid in mids:
        window.arrive(mid, [record(mid)])
    window.send()


def test_reports_out_of_order_acknowledge_in_order(window: Window, producer: Producer) -> None:
    arrive(window, 1, 2, 3)
    producer.reports[2](None)
    producer.reports[1](None)
    assert window.settle() == []
    producer.reports[0](None)
    assert window.settle() == [1, 2, 3]
    assert (window.in_flight, window.bytes, window.outstanding, window.sent) == (0, 0, 0, 3)


def test_a_message_of_several_records_waits_for_all(window: Window, producer: Producer) -> None:
    window.arrive(1, [record(1), record(2), record(3)])
    window.send()
    producer.reports[0](None)
    producer.reports[2](None)
    assert window.settle() == []
    producer.reports[1](None)
    assert window.settle() == [1]


def test_a_full_queue_is_left_alone_and_then_continued(window: Window, producer: Producer, clock: Clock) -> None:
    producer.capacity = 2
    window.arrive(1, [record(1), record(2), record(3)])
    window.send()
    assert producer.values == [b"1", b"2"]
    producer.capacity = 1000
    window.send()
    assert len(producer.values) == 2
    assert window.pause() == pytest.approx(SLOW_PAUSE)
    clock.now += SLOW_PAUSE
    window.send()
    assert producer.values == [b"1", b"2", b"3"]


def test_a_report_ends_the_pause_of_a_full_queue(window: Window, producer: Producer) -> None:
    producer.capacity = 1
    arrive(window, 1, 2)
    producer.capacity = 1000
    producer.reports[0](None)
    assert window.settle() == [1]
    window.send()
    assert producer.values == [b"1", b"2"]


def test_after_a_failure_nothing_is_sent_until_every_report_is_in(
    window: Window, producer: Producer, clock: Clock
) -> None:
    arrive(window, 1, 2, 3)
    producer.reports[1](OSError("no"))
    producer.reports[0](None)
    assert window.settle() == [1]
    arrive(window, 4)
    assert len(producer.values) == 3
    producer.reports[2](None)
    assert window.settle() == []
    clock.now += 60
    window.send()
    assert producer.values == [b"1", b"2", b"3", b"2", b"4"]
    assert window.retried == 1
    producer.reports[3](None)
    producer.reports[4](None)
    assert window.settle() == [2, 3, 4]


def test_pauses_grow_and_attempts_end(window: Window, producer: Producer, clock: Clock) -> None:
    arrive(window, 1)
    pauses = []
    for _ in range(2):
        producer.reports[-1](OSError("no"))
        window.settle()
        pauses.append(window.pause())
        window.send()
        assert len(producer.reports) == len(pauses), "sent before the pause was over"
        clock.now += pauses[-1]
        window.send()
    assert pauses == sorted(set(pauses))
    producer.reports[-1](OSError("no"))
    with pytest.raises(UndeliveredError, match="3 attempts: no"):
        window.settle()
    window.forget()
    assert (window.in_flight, window.bytes, window.settle()) == (0, 0, [])


def test_progress_gives_new_attempts(window: Window, producer: Producer, clock: Clock) -> None:
    for mid in range(1, 6):
        arrive(window, mid)
        producer.reports[-1](OSError("no"))
        window.settle()
        clock.now += 60
        window.send()
        producer.reports[-1](None)
        assert window.settle() == [mid]


def test_a_lost_connection_is_not_acknowledged_but_finished(window: Window, producer: Producer, clock: Clock) -> None:
    arrive(window, 1, 2)
    window.disown()
    arrive(window, 1)
    producer.reports[0](None)
    producer.reports[1](OSError("no"))
    producer.reports[2](None)
    assert window.settle() == []
    clock.now += 60
    window.send()
    assert producer.values == [b"1", b"2", b"1", b"2"]
    producer.reports[3](None)
    assert window.settle() == [1], "only that of the new connection"


def test_each_report_rings(producer: Producer) -> None:
    rung = []
    window = Window(producer, lambda: rung.append(1))
    arrive(window, 1)
    producer.reports[0](None)
    assert rung == [1]
