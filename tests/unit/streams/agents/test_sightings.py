"""The table of devices hears of the new ones at once, of changed ones soon, and of the others now and then."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from schemas.codec import encode
from schemas.models import Reading
from streams.agents.sightings import CHANGES_US, REFRESH_US, Sightings
from streams.columns.batch import RawBatch
from streams.columns.decode import decode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = 1_772_366_400_000_000
Told = Mapping[str, str]


def see(
    sightings: Sightings, sent: Sequence[tuple[str, int, Told]], bad: Sequence[int] = (), units: Told | None = None
) -> list[tuple[str, int, int, Told, Told]]:
    """Let it see readings (device, microseconds, tags); give what it wants to be written.

    The unit of the metric is the tag `unit`, unless `units` says what all readings say.
    """
    values = [
        encode(
            Reading(
                device_id=device,
                ts=NOW,
                metrics={"t": 1.0},
                units=dict(units or {"t": tags.get("unit", "")}),
                tags={**tags},
            )
        )
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
    assert see(sightings, [("a", START + 4, {"class": "new", "unit": "C"}), ("b", START + 5, {"x": "y"})]) == []


def test_a_device_is_told_of_again_after_a_while() -> None:
    sightings = Sightings()
    see(sightings, [("a", START, {})])

    assert see(sightings, [("a", START + REFRESH_US // 2 - 1, {})]) == []
    assert [found[0] for found in see(sightings, [("a", START + REFRESH_US, {})])] == ["a"]
    assert see(sightings, [("a", START + REFRESH_US + 1, {})]) == []


def test_devices_that_were_told_of_together_do_not_come_back_together() -> None:
    sightings = Sightings()
    fleet = [f"device-{number}" for number in range(500)]
    steps = 20
    see(sightings, [(device, START, {}) for device in fleet])

    back = []
    for step in range(steps + 1):
        at = START + REFRESH_US // 2 + step * REFRESH_US // 2 // steps
        back.append([found[0] for found in see(sightings, [(device, at, {}) for device in fleet])])

    assert sorted(device for step in back for device in step) == sorted(fleet), "each of them once"
    assert max(map(len, back)) < 3 * len(fleet) / steps


@pytest.mark.parametrize(
    "change",
    [{"unit": "F", "class": "pump"}, {"unit": "C"}, {"unit": "C", "class": "fan"}, {"class": "C", "unit": "pump"}],
)
def test_a_device_that_says_something_else_of_itself_is_told_of_at_once(change: Told) -> None:
    sightings = Sightings()
    said = {"unit": "C", "class": "pump"}
    see(sightings, [("a", START, said), ("b", START, said)])

    seen = see(sightings, [("a", START + CHANGES_US, change), ("b", START + CHANGES_US, said)])

    assert [(found[0], found[4]) for found in seen] == [("a", change)]
    assert see(sightings, [("a", START + 2 * CHANGES_US, change)]) == []


def test_a_device_that_changes_all_the_time_is_told_of_now_and_then() -> None:
    sightings = Sightings()
    see(sightings, [("a", START, {"unit": "C"})])

    assert see(sightings, [("a", START + CHANGES_US - 1, {"unit": "F"})]) == []
    assert [found[4] for found in see(sightings, [("a", START + CHANGES_US, {"unit": "K"})])] == [{"unit": "K"}]
    assert see(sightings, [("a", START + CHANGES_US + 1, {"unit": "C"})]) == []


def test_what_a_device_says_last_in_a_batch_counts() -> None:
    sightings = Sightings()
    see(sightings, [("a", START, {"unit": "C"}), ("b", START, {"unit": "C"})])
    at, one, other = START + CHANGES_US, {"unit": "C"}, {"unit": "F"}

    seen = see(sightings, [("a", at, other), ("b", at, one), ("a", at + 1, one), ("b", at + 1, other)])

    assert seen == [("b", at, at + 1, {"t": "F"}, {"unit": "F"})]


def test_the_order_in_which_a_device_says_it_is_no_change() -> None:
    sightings = Sightings()
    see(sightings, [("a", START, {"unit": "C", "class": "pump", "site": "north"})])

    assert see(sightings, [("a", START + CHANGES_US, {"site": "north", "class": "pump", "unit": "C"})]) == []


def test_units_and_tags_are_not_taken_for_each_other() -> None:
    sightings = Sightings()
    see(sightings, [("a", START, {"t": "C"})], units={"t": "F"})

    assert len(see(sightings, [("a", START + CHANGES_US, {"t": "F"})], units={"t": "C"})) == 1


def test_a_fleet_of_new_devices_in_batches_of_any_size() -> None:
    sightings = Sightings()
    fleet = [f"device-{number}" for number in range(3000)]
    for first, last in [(0, 1), (1, 300), (300, 2999), (2999, 3000)]:
        sent = [(device, START, {"name": device}) for device in fleet[first:last]]

        seen = see(sightings, sent + sent)

        assert sorted((found[0], found[4]["name"]) for found in seen) == sorted(
            zip(*2 * [fleet[first:last]], strict=True)
        )

    assert see(sightings, [(device, START + 1, {"name": device}) for device in fleet]) == []


def test_instants_are_those_of_the_readings_that_could_be_used() -> None:
    seen = see(Sightings(), [("a", START, {}), ("a", START + 1, {}), ("a", START + 2, {})], bad=[0, 2])

    assert [(first, last) for _, first, last, _, _ in seen] == [(START + 1, START + 1)]


def test_a_new_device_is_told_of_whatever_the_broker_says_of_the_time() -> None:
    # -1 ms is what a broker gives that has no time for a record.
    assert [found[0] for found in see(Sightings(), [("a", -1000, {}), ("b", 0, {})])] == ["a", "b"]


def test_nothing_in_nothing() -> None:
    assert see(Sightings(), []) == []
    assert see(Sightings(), [("a", START, {})], bad=[0]) == []
