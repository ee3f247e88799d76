"""Ingest over HTTP, into a real Kafka."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.errors import SlowDownError
from connectors.http.body import MAX_BODY, MAX_UNPACKED
from connectors.http.parts import Parts
from connectors.http.payload import MAX_ITEMS
from connectors.kafka.producer import Producer
from connectors.kafka.settings import KafkaSettings
from schemas.models import Reading

pytestmark = [pytest.mark.kafka, pytest.mark.database]

Start = Callable[[Parts], Any]
InKafka = Callable[[], list[Reading]]

ONE = {"device_id": "pump-7", "ts": "2026-03-01T12:00:00", "metrics": {"temperature": 21.5}}


def test_accepted_means_in_kafka(start: Start, parts: Parts, in_kafka: InKafka) -> None:
    answer = start(parts).post(ONE)
    assert (answer.status, answer.json) == (202, {"accepted": 1})
    assert in_kafka() == [
        Reading(device_id="pump-7", ts=datetime(2026, 3, 1, 12, tzinfo=UTC), metrics={"temperature": 21.5})
    ]


def test_a_list_and_lines_keep_their_order(start: Start, parts: Parts, in_kafka: InKafka) -> None:
    client = start(parts)
    items = [{"device_id": "d", "ts": number, "metrics": {"m": number}} for number in range(200)]
    assert client.post(items[:100]).json == {"accepted": 100}
    lines = "\n".join(f'{{"device_id":"d","ts":{n},"metrics":{{"m":{n}}}}}' for n in range(100, 200)).encode()
    assert client.post(lines, "application/x-ndjson; charset=utf-8").json == {"accepted": 100}
    assert [reading.metrics["m"] for reading in in_kafka()] == list(range(200))


def test_without_ts_it_is_now(start: Start, parts: Parts, in_kafka: InKafka) -> None:
    before = datetime.now(UTC)
    assert start(parts).post({"device_id": "d", "metrics": {"m": 1}}).status == 202
    assert before <= in_kafka()[0].ts <= datetime.now(UTC)


def test_half_good_is_said_item_by_item(start: Start, parts: Parts, in_kafka: InKafka) -> None:
    answer = start(parts).post([ONE, {**ONE, "metrics": {"m": "warm"}}, {**ONE, "device_id": "other"}, 3])
    assert answer.status == 207
    assert answer.json["accepted"] == 2
    assert [(item["index"], item["reason"]) for item in answer.json["rejected"]] == [(1, "invalid"), (3, "form")]
    assert "metrics.m" in answer.json["rejected"][0]["detail"]
    assert {reading.device_id for reading in in_kafka()} == {"pump-7", "other"}


def test_nothing_good_is_an_error_and_nothing_is_written(start: Start, parts: Parts, in_kafka: InKafka) -> None:
    client = start(parts)
    answer = client.post([{}, {**ONE, "ts": "noon"}])
    assert (answer.status, answer.json["error"], answer.json["accepted"]) == (422, "invalid", 0)
    assert [item["reason"] for item in answer.json["rejected"]] == ["invalid", "time"]
    broken = client.post(b'{"device_id":')
    assert (broken.status, broken.json["error"]) == (400, "json")
    assert client.post(b"").status == 400
    many = client.post([ONE] * (MAX_ITEMS + 1))
    assert (many.status, many.json["error"]) == (413, "size")
    assert in_kafka() == []


def test_other_media_types_are_refused(start: Start, parts: Parts) -> None:
    client = start(parts)
    # What a form of another web site can send without asking must not be taken.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert client.post(ONE, kind).status == 415
    packed = client.post(b"{}", **{"Content-Encoding": "br"})
    assert (packed.status, packed.json["error"]) == (415, "encoding")


def test_a_body_may_be_packed(start: Start, parts: Parts, in_kafka: InKafka) -> None:
    client = start(parts)
    lines = b"\n".join(json.dumps({**ONE, "ts": number}).encode() for number in range(2000))
    for body, kind in ((lines, "application/x-ndjson"), (json.dumps(ONE).encode(), "application/json")):
        assert client.post(gzip.compress(body), kind, **{"Content-Encoding": "gzip"}).status == 202
    assert len(in_kafka()) == 2001
    broken = client.post(gzip.compress(lines)[:-9], **{"Content-Encoding": "gzip"})
    assert (broken.status, broken.json["error"]) == (400, "encoding")
    bomb = client.post(gzip.compress(bytes(MAX_UNPACKED + 1)), **{"Content-Encoding": "gzip"})
    assert (bomb.status, bomb.json["error"]) == (413, "size")


def test_a_body_has_a_largest_size_declared_or_not(start: Start, parts: Parts) -> None:
    client = start(parts)
    declared = client.post(b" " * (MAX_BODY + 1))
    assert (declared.status, declared.json["error"]) == (413, "size")
    headers = {"Content-Type": "application/json"}
    parts_of_it = iter([b" " * 65_536] * 17)
    assert client.request("POST", "/v1/readings", parts_of_it, headers).status == 413
    assert client.post(b" " * (MAX_BODY - 2) + b"{}").status == 422


def test_a_body_that_does_not_come_is_given_up(start: Start, parts: Parts) -> None:
    client = start(replace(parts, body_s=0.2))
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as slow:
        slow.sendall(
            b"POST /v1/readings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.fixture
def lost_producer() -> Iterator[Producer]:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    producer = Producer(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", delivery_timeout_s=1))
    yield producer
    producer.close()


def test_without_kafka_nothing_is_accepted(start: Start, parts: Parts, lost_producer: Producer) -> None:
    answer = start(replace(parts, producer=lost_producer)).post([ONE, {}])
    assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (503, "unconfirmed", "5")
    assert "127.0.0.1" not in answer.body.decode()


def test_a_kafka_that_is_silent_is_not_waited_for_forever(start: Start, parts: Parts) -> None:
    class Silent:
        def send(self, *_record: object, **_report: object) -> None:
            pass

    began = time.monotonic()
    answer = start(replace(parts, producer=Silent(), acknowledge_s=0.2)).post(ONE)
    assert (answer.status, answer.json["error"]) == (503, "unconfirmed")
    assert time.monotonic() - began < 5


def test_a_full_queue_asks_for_a_pause(start: Start, parts: Parts) -> None:
    class Full:
        def send(self, *_record: object, **_report: object) -> None:
            raise SlowDownError("the queue to Kafka is full")

    answer = start(replace(parts, producer=Full())).post(ONE)
    assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (429, "busy", "1")


def test_when_much_waits_for_kafka_the_next_ones_are_turned_away_and_nothing_of_them_is_kept(
    start: Start, parts: Parts
) -> None:
    class Slow:
        def __init__(self) -> None:
            self.taken: list[Callable[[None], None]] = []

        def send(self, *_record: object, on_delivery: Callable[[None], None], headers: object = None) -> None:  # noqa: ARG002  # as the producer has it
            self.taken.append(on_delivery)

    slow = Slow()
    client = start(replace(parts, producer=slow, most_in_flight=10))
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(client.post, [ONE] * 20)  # alone it may be as many as it is
        until(lambda: len(slow.taken) == 20)
        turned_away = client.post(ONE)
        for report in slow.taken[:20]:
            report(None)
        assert first.result(20).status == 202
    assert (turned_away.status, turned_away.headers["retry-after"]) == (429, "1")
    assert len(slow.taken) == 20


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_many_requests_wait_at_once(start: Start, parts: Parts, in_kafka: InKafka) -> None:
    client = start(parts)

    async def all_of_them() -> list[int]:
        asks = (asyncio.to_thread(client.post, {**ONE, "device_id": f"d{n}"}) for n in range(40))
        return [answer.status for answer in await asyncio.gather(*asks)]

    assert asyncio.run(all_of_them()) == [202] * 40
    assert len({reading.device_id for reading in in_kafka()}) == 40
