"""Workers are replaced one after the other while readings flow: every partition goes on, and nothing is read twice."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from connectors.kafka.producer import Outgoing, Producer
from schemas.codec import encode
from schemas.models import Reading
from schemas.topics import READINGS
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
DEVICES = [f"pump-{number}" for number in range(40)]
MARKS = "select partition, next_offset from sink_offsets order by 1"


@contextmanager
def sending(flow: Flow) -> Iterator[list[int]]:
    """Send a reading of each device again and again; gives a list of the seconds that were sent."""
    sent: list[int] = []
    ended = threading.Event()

    def send() -> None:
        producer = Producer(flow.settings.kafka)
        while not ended.wait(0.1):
            ts = START + timedelta(seconds=len(sent))
            readings = [Reading(device_id=device, ts=ts, metrics={"pressure": 5.0}) for device in DEVICES]
            producer.publish([Outgoing(READINGS.name, one.device_id.encode(), encode(one)) for one in readings])
            sent.append(len(sent))
        producer.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        ended.set()
        thread.join()


def test_no_partition_stands_still_and_nothing_is_stored_twice(flow: Flow) -> None:
    workers = [flow.start("worker", "--lane", "ingest") for _ in range(2)]
    with sending(flow) as sent:

        def all_go_on(what: str) -> None:
            before = dict(flow.fetch(MARKS))
            eventually(
                lambda: (
                    len(now := dict(flow.fetch(MARKS))) == READINGS.partitions
                    and all(now[number] > before.get(number, 0) for number in now)
                ),
                what,
            )

        all_go_on("every partition has an owner")
        for place, old in enumerate(workers):
            assert old.terminate() == 0
            all_go_on("the other one has all partitions")
            workers[place] = flow.start("worker", "--lane", "ingest")
            all_go_on("both have some")
    eventually(flow.drained, "all is stored")
    totals = json.loads(flow.run("status", "--json").stdout)["totals"]
    assert totals == {"stored": len(sent) * len(DEVICES), "duplicates": 0, "conflicts": 0, "poison": 0}
    assert flow.fetch("select count(*) from readings") == [(totals["stored"],)]
    for worker in workers:
        assert worker.terminate() == 0
