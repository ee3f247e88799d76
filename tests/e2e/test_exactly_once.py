"""Every accepted reading once in the table and every alarm asked about once, while workers die, come and go."""

import random
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.admin import Admin
from schemas.models import Reading
from streams.settings import Settings
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

DEVICES = 40
READINGS = 500
START = datetime(2026, 1, 1, tzinfo=UTC)


def fleet(readings: int = READINGS, devices: int = DEVICES) -> list[Reading]:
    """Noisy devices; every fourth makes a jump that has to raise an alarm."""
    random_ = random.Random(7)  # noqa: S311  # noise, not a secret
    made = []
    for step in range(readings):
        for device in range(devices):
            jump = 40.0 if device % 4 == 0 and step >= readings - 60 else 0.0
            value = 20.0 + random_.gauss(0.0, 1.0) + jump
            ts = START + timedelta(seconds=step)
            made.append(Reading(device_id=f"d{device}", ts=ts, metrics={"temperature": value}))
    return made


def check_all_there(flow: Flow, readings: Sequence[Reading]) -> None:
    assert flow.fetch("select count(*) from readings") == [(len(readings),)]
    assert flow.fetch(
        "select coalesce(sum(stored), 0)::int, sum(duplicates)::int, sum(conflicts)::int from sink_offsets"
    ) == [(len(readings), 0, 0)]
    stored = {(device, ts): value for device, ts, value in flow.fetch("select device_id, ts, value from readings")}
    assert stored == {(reading.device_id, reading.ts): reading.metrics["temperature"] for reading in readings}


def alarms(flow: Flow) -> set[tuple[object, ...]]:
    """Give what was asked about: a device and the start of the window."""
    return set(flow.fetch("select device_id, metric, window_start from insights"))


@pytest.mark.apache_kafka  # the wheel broker does not let a second member into a group
def test_killed_workers_neither_lose_nor_repeat(flow: Flow) -> None:
    readings = fleet()
    flow.start("worker", "--lane", "analyze")
    third = len(readings) // 3
    for part in range(3):
        worker = flow.start("worker", "--lane", "ingest")
        flow.produce(readings[part * third : (part + 1) * third])
        before = part * third
        eventually(lambda: flow.fetch("select count(*) from readings")[0][0] > before, "rows come in")  # noqa: B023  # called here
        worker.kill()
    flow.start("worker", "--lane", "ingest")
    flow.produce(readings[3 * third :])
    eventually(flow.drained, "the ingest group is done")
    eventually(lambda: flow.drained("analyze"), "the analyze group is done")
    check_all_there(flow, readings)
    asked = alarms(flow)
    assert {device for device, _, _ in asked} == {f"d{number}" for number in range(0, DEVICES, 4)}
    assert len(asked) == len(flow.fetch("select id from insights"))


@pytest.mark.apache_kafka  # the wheel broker does not let a second member into a group
def test_workers_come_and_go(flow: Flow) -> None:
    readings = fleet()
    quarter = len(readings) // 4
    first = flow.start("worker", "--lane", "ingest")
    flow.produce(readings[:quarter])
    second = flow.start("worker", "--lane", "ingest", wait=False)
    flow.produce(readings[quarter : 2 * quarter])
    eventually(second.is_ready, "the second has joined")
    flow.produce(readings[2 * quarter : 3 * quarter])
    assert first.terminate() == 0
    flow.produce(readings[3 * quarter :])
    eventually(flow.drained, "the group is done")
    check_all_there(flow, readings)
    assert second.terminate() == 0
    owners = flow.fetch("select count(distinct owner) from sink_offsets")
    assert owners == [(1,)]


def test_a_clean_stop_leaves_nothing_to_do_again(flow: Flow) -> None:
    readings = fleet(readings=100)
    worker = flow.start("worker", "--lane", "ingest", TIDEGATE_INGEST__SNAPSHOT_MIN_S="30")
    flow.produce(readings)
    eventually(lambda: flow.fetch("select count(*) from readings") == [(len(readings),)], "all rows are stored")
    assert worker.terminate() == 0
    assert flow.drained()
    assert flow.fetch("select count(*) from sink_offsets where next_offset <> snapshot_offset") == [(0,)]


def test_the_database_hangs_up_in_between(flow: Flow) -> None:
    readings = fleet()
    half = len(readings) // 2
    worker = flow.start("worker", "--lane", "ingest")
    url = flow.settings.database.url.get_secret_value()
    for part in (readings[:half], readings[half:]):
        flow.produce(part)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
    eventually(flow.drained, "the group is done")
    check_all_there(flow, readings)
    assert worker.terminate() == 0


@pytest.mark.apache_kafka
def test_a_topic_made_anew_is_never_skipped_in_silence(flow: Flow, new_topics: Callable[[Settings], None]) -> None:
    readings = fleet(readings=20)
    worker = flow.start("worker", "--lane", "ingest")
    flow.produce(readings)
    eventually(flow.drained, "the group is done")
    worker.terminate()
    new_topics(flow.settings)
    flow.produce(readings[:10])
    again = flow.start("worker", "--lane", "ingest", wait=False)
    assert again.popen.wait(60) == 1
    said = again.log.read_text()
    assert "was deleted and made anew" in said
    assert "tidegate topics forget readings" in said
    assert flow.run("topics", "forget", "readings").returncode == 2
    forgotten = flow.run("topics", "forget", "readings", "--yes", "--json")
    assert forgotten.returncode == 0, forgotten.stderr
    flow.start("worker", "--lane", "ingest")
    eventually(flow.drained, "the new topic is read")
    assert flow.fetch("select sum(duplicates)::int from sink_offsets") == [(10,)]
    assert flow.fetch("select action from audit") == [("topics forget",)]


@pytest.mark.apache_kafka
def test_records_that_expire_under_a_worker_are_never_skipped_in_silence(flow: Flow) -> None:
    worker = flow.start("worker", "--lane", "ingest", TIDEGATE_KAFKA__SESSION_TIMEOUT_S="30")
    readings = fleet(readings=4)
    flow.produce(readings[:DEVICES])
    eventually(flow.drained, "the group is done")
    worker.popen.send_signal(signal.SIGSTOP)
    flow.produce(readings[DEVICES:])
    admin = AdminClient({"bootstrap.servers": flow.settings.kafka.bootstrap_servers})
    bounds = Admin(flow.settings.kafka).bounds(("readings", number) for number in range(8))
    expired = [TopicPartition(topic, number, bound.end) for (topic, number), bound in bounds.items()]
    for future in admin.delete_records(expired).values():
        future.result()
    flow.produce(readings[DEVICES:])
    worker.popen.send_signal(signal.SIGCONT)
    assert worker.popen.wait(60) == 1
    assert "It expired before it was read" in worker.log.read_text()
    again = flow.start("worker", "--lane", "ingest", wait=False)
    assert again.popen.wait(60) == 1
    assert "expired before they were read" in again.log.read_text()
