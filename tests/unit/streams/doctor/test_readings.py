"""What the last readings tell of who sends them."""

import zlib
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from confluent_kafka import Message

from schemas.codec import encode
from schemas.models import Reading
from streams.doctor.readings import PARTITIONERS, device_clocks, loud_devices, partitioners
from tests.fakes.records import FakeRecord

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
PARTITIONS = 8


def record(device: str, partition: int, ahead_s: float = 0.0, value: bytes | None = None) -> Message:
    reading = Reading(device_id=device or "nobody", ts=START + timedelta(seconds=ahead_s), metrics={"t": 1.0})
    bytes_ = encode(reading) if value is None else value
    return cast("Message", FakeRecord(0, START_MS, device.encode() or None, bytes_, of_partition=partition))


def ours(device: str) -> int:
    return PARTITIONERS["murmur2"](device.encode(), PARTITIONS)


def theirs(device: str) -> int:
    return zlib.crc32(device.encode()) % PARTITIONS


# As Java's client has it: org.apache.kafka.common.utils.UtilsTest, murmur2.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536), ("abc", 479470107)],
)
def test_partitions_are_chosen_as_java_does(key: str, hashed: int) -> None:
    assert PARTITIONERS["murmur2"](key.encode(), 1 << 30) == (hashed & 0x7FFFFFFF) % (1 << 30)


DEVICES = [f"pump-{number}" for number in range(50)]


def test_records_that_are_where_their_keys_belong() -> None:
    (finding,) = partitioners([record(device, ours(device)) for device in DEVICES], PARTITIONS)
    assert finding.fine
    assert "50 records" in finding.seen


def test_records_of_another_partitioner_are_found_and_it_is_named() -> None:
    good = [record(device, ours(device)) for device in DEVICES]
    bad = [record(device, theirs(device)) for device in DEVICES[:5] if theirs(device) != ours(device)]
    (finding,) = partitioners(good + bad, PARTITIONS)
    assert not finding.fine
    assert f"{len(bad)} of the last {50 + len(bad)}" in finding.seen
    assert "CRC32" in finding.seen
    assert "'pump-0'" in finding.seen
    # One that fits none of them.
    (finding,) = partitioners([record("pump-1", (ours("pump-1") + 1) % PARTITIONS), record("", 0)], PARTITIONS)
    assert "CRC32" not in finding.seen


def test_records_without_a_key_are_counted() -> None:
    (finding,) = partitioners(
        [record("pump-1", ours("pump-1"))] + [record("", number) for number in range(8)], PARTITIONS
    )
    assert not finding.fine
    assert "8 have no key" in finding.seen


def test_devices_whose_clocks_are_ahead_are_named_and_late_ones_are_not() -> None:
    late = [record("pump-1", 0, -3600.0)] * 3
    once = [record("pump-2", 0, 60.0), *[record("pump-2", 0)] * 4]
    ahead = [record("pump-3", 0, 1800.0), record("pump-3", 0, 1800.0), record("pump-3", 0, 0.0), record("x", 0, 30.0)]
    (finding,) = device_clocks([*late, *once])
    assert finding.fine
    (finding,) = device_clocks([*late, *once, *ahead, record("y", 0, value=b"rubbish")])
    assert not finding.fine
    assert finding.seen == "2 of 4 devices are ahead of their time: 'pump-3' 30 min, 'x' 30 s"


def test_a_device_that_sends_most_of_a_partition_is_named() -> None:
    quiet = [record(f"pump-{number}", 1) for number in range(100)]
    assert list(loud_devices(quiet + [record("pump-1", 1)] * 90)) == []
    (finding,) = loud_devices(quiet + [record("pump-1", 1)] * 200)
    assert finding.fine
    assert "'pump-1' 67% of partition 1" in finding.seen
    # A sample that says nothing, and a partition that has one device alone.
    assert list(loud_devices([record("pump-1", 1)] * 90 + [record("pump-2", 1)])) == []
    assert list(loud_devices([record("pump-1", 1)] * 900)) == []
