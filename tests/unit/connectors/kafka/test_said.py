"""The log stays readable while a broker is away."""

import logging

from connectors.kafka.said import REMEMBERED, SaidAlready

REFUSED = "FAIL: 127.0.0.1:9092/bootstrap: Connection refused (after %dms in state CONNECT)"


def record(at: float, text: str, *arguments: object) -> logging.LogRecord:
    made = logging.LogRecord("librdkafka", logging.ERROR, __file__, 1, text, arguments, None)
    made.created = at
    return made


def test_the_same_is_said_again_after_a_while_only() -> None:
    said = SaidAlready(every_s=30.0)
    assert [said.filter(record(at, REFUSED, at)) for at in (0.0, 0.1, 29.9, 30.0, 30.1)] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_something_else_is_said_at_once() -> None:
    said = SaidAlready()
    assert said.filter(record(0.0, REFUSED, 0))
    assert said.filter(record(0.1, REFUSED.replace("9092", "9093"), 0))


def test_what_was_said_does_not_pile_up() -> None:
    said = SaidAlready()
    for number in range(3 * REMEMBERED):
        said.filter(record(0.0, f"text {number}"))
    assert len(said._said) <= REMEMBERED  # noqa: SLF001  # that it is bounded shows nowhere else


def test_clients_of_kafka_speak_through_it() -> None:
    assert any(isinstance(one, SaidAlready) for one in logging.getLogger("librdkafka").filters)
