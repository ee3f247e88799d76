"""What the lane hands out, and that the private methods of Faust that it overrides are still there."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from faust.transport.consumer import Consumer
from faust.types import TP

from connectors.kafka.settings import KafkaSettings
from streams.lane.app import LaneApp, LaneOptions, lane_app
from streams.lane.consumer import Keeper, LaneConsumer
from tests.fakes.records import FakeRecord


def test_faust_is_the_version_that_the_lane_was_made_for() -> None:
    assert faust.__version__ == "0.15.3"
    own = {"release", "rebalancing", "assigned", "revoked", "failed", "_never"}
    overridden = {name for name in vars(LaneConsumer) if callable(getattr(LaneConsumer, name))} - own
    missing = [name for name in overridden if not hasattr(Consumer, name)]
    assert missing == []
    for name in ("_crash", "_create_directories", "_new_consumer", "_new_transport"):
        assert hasattr(faust.App, name)


class Nobody:
    """A keeper of nothing."""

    broken = False


def an_app(**settings: Any) -> LaneApp:  # noqa: ANN401  # any setting
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1,127.0.0.1:2", **settings)
    return lane_app(kafka, LaneOptions("g", ["t"], 100, without_position="error"), cast("Keeper", Nobody()))


def test_the_settings_that_promises_depend_on() -> None:
    app = an_app()
    assert app.conf.stream_wait_empty
    assert not app.conf.topic_allow_declare
    assert app.conf.topic_disable_leader
    client = app.client_settings
    assert client["auto.offset.reset"] == "error"
    assert client["enable.auto.commit"] is client["enable.auto.offset.store"] is False
    assert client["bootstrap.servers"] == "127.0.0.1:1,127.0.0.1:2"
    assert client["heartbeat.interval.ms"] * 3 <= client["session.timeout.ms"] < client["max.poll.interval.ms"]


def test_passwords_reach_the_client_alone() -> None:
    app = an_app(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", sasl_username="u", sasl_password="s3cret"
    )
    assert (app.client_settings["sasl.username"], app.client_settings["sasl.password"]) == ("u", "s3cret")
    assert "s3cret" not in repr(app.conf.broker_credentials)
    assert "s3cret" not in repr(app)


def test_the_first_reason_of_a_failure_is_kept() -> None:
    app = an_app()
    app._crash(asyncio.CancelledError())  # noqa: SLF001  # what Faust calls
    app._crash(ValueError("first"))  # noqa: SLF001  # the same
    app._crash(ValueError("second"))  # noqa: SLF001  # the same
    assert str(app.failure) == "first"


@pytest.fixture
def consumer() -> LaneConsumer:
    """A consumer with nothing behind it."""
    made = LaneConsumer.__new__(LaneConsumer)
    made._released = {}  # noqa: SLF001  # what __init__ makes
    return made


def test_only_what_was_released_is_committed(consumer: LaneConsumer) -> None:
    first, second = TP("t", 0), TP("t", 1)
    consumer.release(first, 10)
    consumer.release(first, 20)
    pending = consumer._filter_tps_with_pending_acks  # noqa: SLF001  # what Faust calls
    assert list(pending()) == [first]
    assert list(pending({"other"})) == []
    assert list(pending({"t"})) == list(pending({first})) == [first]
    assert consumer._new_offset(first) == 20  # noqa: SLF001  # what Faust calls
    assert consumer._new_offset(second) is None  # noqa: SLF001  # the same


def test_a_batch_is_one_message_that_ends_at_its_last_record(consumer: LaneConsumer) -> None:
    consumer.app = SimpleNamespace(consumer_generation_id=3)
    records = [FakeRecord(offset, 1000 + offset, of_topic="t", of_partition=1) for offset in (4, 7)]
    message = consumer._to_message(TP("t", 1), records)  # noqa: SLF001  # what Faust calls
    assert (message.offset, message.value, message.tp) == (7, records, TP("t", 1))
