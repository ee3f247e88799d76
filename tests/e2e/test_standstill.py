"""A worker in front of a wall waits without leaving; one whose topic is gone stops and says so."""

import socket
import urllib.request
from collections.abc import Callable

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from connectors.timescale.connection import connect
from streams.settings import Settings
from tests.e2e.conftest import Flow, eventually
from tests.e2e.test_exactly_once import check_all_there, fleet

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def told(port: int) -> dict[str, float]:
    """Ask a worker for its metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:  # our own
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_a_database_that_stands_still_pauses_the_reading_and_keeps_the_group(flow: Flow) -> None:
    # Small batches: the worker must not be able to take all readings in hand.
    port = free_port()
    worker = flow.start(
        "worker", "--lane", "ingest", TIDEGATE_INGEST__BATCH_RECORDS="200", TIDEGATE_METRICS__PORT=str(port)
    )
    readings = fleet()
    flow.produce(readings[:400])
    eventually(flow.drained, "the group is done")
    before = psutil.Process(worker.popen.pid).memory_info().rss
    with connect(flow.settings.database) as wall, wall.transaction():
        wall.execute("lock table readings in access exclusive mode")
        flow.produce(readings[400:])
        eventually(lambda: "fetching is paused" in worker.log.read_text(), "the worker pauses")
        group = flow.settings.kafka.group("ingest")
        assert told(port)[f'tidegate_fetching_paused{{group="{group}"}}'] == 1
        eventually(
            lambda: any(value > 0 for name, value in told(port).items() if name.startswith("tidegate_unread_records{")),
            "what is not read shows",
        )
        admin = AdminClient({"bootstrap.servers": flow.settings.kafka.bootstrap_servers})
        # Longer than the session, which is 6 s here: whoever does not send heartbeats is gone by now.
        started = flow.fetch("select clock_timestamp()")[0][0]
        eventually(
            lambda: flow.fetch("select clock_timestamp() > %s + interval '8 seconds'", started)[0][0], "time passes"
        )
        description = admin.describe_consumer_groups([group])[group].result()
        assert [len(member.assignment.topic_partitions) for member in description.members] == [8]
        assert psutil.Process(worker.popen.pid).memory_info().rss - before < 100 * 1024 * 1024
    eventually(flow.drained, "the group is done")
    check_all_there(flow, readings)
    after = told(port)
    assert after[f'tidegate_fetching_paused{{group="{group}"}}'] == 0
    assert after[f'tidegate_fetching_pauses_total{{group="{group}"}}'] >= 1
    assert after['tidegate_records_total{outcome="stored"}'] == len(readings)
    said = worker.log.read_text()
    assert "fetching goes on" in said
    assert said.count("Executing _on_partitions_assigned") == 1
    assert worker.terminate() == 0


@pytest.mark.apache_kafka  # the wheel broker gives topics no ids
def test_a_topic_made_anew_under_a_worker_ends_it(flow: Flow, new_topics: Callable[[Settings], None]) -> None:
    worker = flow.start("worker", "--lane", "ingest")
    flow.produce(fleet(readings=10))
    eventually(flow.drained, "the group is done")
    new_topics(flow.settings)
    assert worker.popen.wait(60) == 1
    said = worker.log.read_text()
    reason = said.split("the worker stops: ")[1]
    assert "made anew" in reason
    assert "Traceback" not in reason
