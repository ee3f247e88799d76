"""What the lane hands out, and that the private methods of Faust that it overrides are still there."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.settings import KafkaSettings
from streams.lane.app import LaneApp, LaneOptions, lane_app
from streams.lane.consumer import Keeper, LaneConsumer
from streams.lane.scheduler import batches


@given(fetched=st.dictionaries(st.integers(0, 5), st.integers(0, 50), max_size=6), size=st.integers(1, 20))
def test_every_record_is_handed_out_once_in_order_and_partitions_take_turns(fetched: dict[int, int], size: int) -> None:
    records = {TP("t", number): list(range(count)) for number, count in fetched.items()}
    handed: dict[TP, list[int]] = {}
    turns: dict[TP, int] = {}
    for tp, batch in batches(size)().iterate(records):
        assert 0 < len(batch) <= size
        handed.setdefault(tp, []).extend(batch)
        turns[tp] = turns.get(tp, 0) + 1
        behind = [turns.get(other, 0) for other, left in records.items() if len(handed.get(other, [])) < len(left)]
        assert all(turns[tp] <= others + 1 for others in behind)
    assert handed == {tp: left for tp, left in records.items() if left}


def test_faust_is_the_version_that_the_lane_was_made_for() -> None:
    assert faust.__version__ == "0.15.3"
    overridden = [name for name in vars(LaneConsumer) if callable(getattr(LaneConsumer, name)) and name != "release"]
    missing = [name for name in overridden if not hasattr(driver.Consumer, name)]
    assert missing == []
    for name in ("_crash", "_create_directories", "_new_consumer", "_new_transport"):
        assert hasattr(faust.App, name)


class Nobody:
    """A keeper of nothing."""

    broken = False


def an_app(**settings: Any) -> LaneApp:  # noqa: ANN401  # any setting
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1,127.0.0.1:2", **settings)
    return lane_app(kafka, LaneOptions("g", 100, without_position="none"), cast("Keeper", Nobody()))


def test_the_settings_that_promises_depend_on() -> None:
    conf = an_app().conf
    assert conf.stream_wait_empty
    assert not conf.topic_allow_declare
    assert conf.topic_disable_leader
    assert conf.consumer_auto_offset_reset == "none"
    assert conf.broker_session_timeout < conf.broker_request_timeout
    assert [str(url) for url in conf.broker_consumer] == ["kafka://127.0.0.1:1", "kafka://127.0.0.1:2"]
    assert conf.broker_credentials is None


def test_passwords_reach_the_client_and_no_representation() -> None:
    app = an_app(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", sasl_username="u", sasl_password="s3cret"
    )
    credentials = app.conf.broker_credentials
    assert (credentials.username, credentials.password) == ("u", "s3cret")
    assert "s3cret" not in repr(credentials)
    assert an_app(security_protocol="SSL").conf.broker_credentials.protocol.value == "SSL"


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
    records = [SimpleNamespace(topic="t", partition=1, offset=o, timestamp=1000 + o, timestamp_type=0) for o in (4, 7)]
    message = consumer._to_message(TP("t", 1), records)  # noqa: SLF001  # what Faust calls
    assert (message.offset, message.value, message.tp) == (7, records, TP("t", 1))
