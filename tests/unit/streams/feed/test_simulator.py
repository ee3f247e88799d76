"""Simulated devices: the same seed says the same things, and faults are rare but there."""

import itertools
from datetime import UTC, datetime, timedelta

from streams.feed.simulator import METRICS, Fleet

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_same_seed_says_the_same_things() -> None:
    assert list(Fleet(3, seed=4).readings(START, 50)) == list(Fleet(3, seed=4).readings(START, 50))
    assert list(Fleet(3, seed=4).readings(START, 50)) != list(Fleet(3, seed=5).readings(START, 50))


def test_devices_take_turns_at_their_interval() -> None:
    fleet = Fleet(2, interval_s=0.5)
    readings = list(fleet.readings(START, 3))
    assert [reading.device_id for reading in readings] == fleet.names() * 3
    assert readings[-1].ts == START + timedelta(seconds=1)
    assert all(set(reading.metrics) == set(reading.units) == set(METRICS) for reading in readings)


def test_faults_stand_out_and_are_rare() -> None:
    spread = METRICS["temperature"][3]
    readings = [
        reading.metrics["temperature"] for reading in Fleet(1, seed=1, faults_per_thousand=2).readings(START, 5000)
    ]
    jumps = sum(abs(b - a) > 8 * spread for a, b in itertools.pairwise(readings))
    assert 2 <= jumps <= 60
