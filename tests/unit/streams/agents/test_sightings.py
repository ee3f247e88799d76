"""The table of devices hears of the new ones at once, and of the others now and then."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from schemas.codec import encode
from schemas.models import Reading
from streams.agents.sightings import REFRESH_US, Sightings
from streams.columns.batch import RawBatch
from streams.columns.decode import decode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = 1_772_366_400_000_000
Told = Mapping[str, str]


def see(
    sightings: Sightings, sent: Sequence[tuple[str, int, Told]], bad: Sequence[int] = ()
) -> list[tuple[str, int, int, Told, Told]]:
    """Let it see readings (device, microseconds, tags); give what it wants to be written."""
    values = [
        encode(Reading(device_id=device, ts=NOW, metrics={"t": 1.0}, units={"t": tags.get("unit", "")}, tags={**tags}))
        for device, _, tags in sent
    ]
    batch = RawBatch(
        "readings",
        0,
        np.arange(len(sent), dtype=np.int64),
        np.array([accepted for _, accepted, _ in sent], dtype=np.int64),
        [device.encode() for device, _, _ in sent],
        [None if position in bad else value for position, value in enumerate(values)],
    )
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [
        (
            seen.device_id,
            (seen.first_seen - epoch) // timedelta(microseconds=1),
            (seen.last_seen - epoch) // timedelta(microseconds=1),
            seen.units,
            seen.tags,
        )
        for seen in sightings.of(decode(batch)[0], batch)
    ]


def test_a_new_device_is_told_of_once_with_its_first_and_last_instants_and_what_it_said_last() -> None:
    sightings = Sightings()

    seen = see(
        sightings,
        [
            ("a", START, {"class": "old"}),
            ("b", START + 1, {}),
            ("a", START + 2, {"class": "new", "unit": "C"}),
            ("b", START + 3, {"x": "y"}),
        ],
    )

    assert sorted(seen) == [
        ("a", START, START + 2, {"t": "C"}, {"class": "new", "unit": "C"}),
        ("b", START + 1, START + 3, {"t": ""}, {"x": "y"}),
    ]
    assert see(sightings, [("a", START + 4, {}), ("b", START + REFRESH_US, {})]) == []


def test_a_device_is_told_of_again_after_a_while() -> None:
    sightings = Sightings()
    see(sightings, [("a", START, {})])

    assert see(sightings, [("a", START + REFRESH_US - 1, {})]) == []
    assert [found[0] for found in see(sightings, [("a", START + REFRESH_US, {})])] == ["a"]
    assert see(sightings, [("a", START + REFRESH_US + 1, {})]) == []


def test_instants_are_those_of_the_readings_that_could_be_used() -> None:
    seen = see(Sightings(), [("a", START, {}), ("a", START + 1, {}), ("a", START + 2, {})], bad=[0, 2])

    assert [(first, last) for _, first, last, _, _ in seen] == [(START + 1, START + 1)]


def test_a_new_device_is_told_of_whatever_the_broker_says_of_the_time() -> None:
    # -1 ms is what a broker gives that has no time for a record.
    assert [found[0] for found in see(Sightings(), [("a", -1000, {}), ("b", 0, {})])] == ["a", "b"]


def test_nothing_in_nothing() -> None:
    assert see(Sightings(), []) == []
    assert see(Sightings(), [("a", START, {})], bad=[0]) == []
