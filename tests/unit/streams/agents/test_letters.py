"""Letters keep the original bytes, say where and why, and have the same id whenever they are written again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from connectors.timescale.writer import Conflict
from schemas.codec import decode, encode
from schemas.instants import from_micros
from schemas.models import DeadLetter, Reading
from schemas.origin import Origin
from streams.agents.letters import of_conflicts, of_poison
from streams.columns.batch import Poison, RawBatch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0


BATCH = RawBatch(
    "readings",
    3,
    np.array([40, 42, 50], dtype=np.int64),
    np.array([1_000_000, 2_000_000, 3_000_000], dtype=np.int64),
    [b"a", b"\xff", None],
    [b"good", b"\x00junk", None],
)
POISON = [Poison(1, "framing", "the first byte"), Poison(2, "empty", "no value")]


def letters(batch: RawBatch = BATCH, *, region: str = "eu", clock: Clock | None = None) -> list[DeadLetter]:
    made = of_poison(batch, POISON, stage="ingest", region=region, clock=clock or Clock())
    return [decode(each.value, DeadLetter) for each in made]


def test_poison_keeps_its_bytes_and_its_place() -> None:
    outgoing = of_poison(BATCH, POISON, stage="ingest", region="eu", clock=Clock())
    first, second = letters()

    assert [(each.topic, each.key) for each in outgoing] == [("dead-letters", b"\xff"), ("dead-letters", None)]
    assert (first.topic, first.partition, first.offset) == ("readings", 3, 42)
    assert (first.key, first.value) == (b"\xff", b"\x00junk")
    assert (first.stage, first.reason, first.detail) == ("ingest", "framing", "the first byte")
    assert (first.accepted, first.created, first.region) == (from_micros(2_000_000), NOW, "eu")
    assert (second.offset, second.key, second.value, second.reason) == (50, None, None, "empty")


def test_an_id_is_a_function_of_the_coordinates_alone() -> None:
    ids = [letter.id for letter in letters()]

    assert ids == [letter.id for letter in letters(clock=Clock(NOW + timedelta(days=1)))]
    assert ids == ["c4ccfd4d-698a-5ecf-a3c8-c89cb9a9abda", "7b224da8-1333-52b8-85e5-b1aaae8506ce"]
    elsewhere = [
        *letters(region="us"),
        *letters(replace(BATCH, topic="other")),
        *letters(replace(BATCH, partition=4)),
        *letters(replace(BATCH, offsets=BATCH.offsets + 1)),
    ]
    assert len({*ids, *(letter.id for letter in elsewhere)}) == 10


def test_a_copy_has_the_letter_of_its_original() -> None:
    origin = Origin("0b9f3c9e-9d1c-4f6a-8e0a-2f2f3c1d9b10", b"", "readings", 3, 42, 2_000)
    copy = RawBatch(
        "readings",
        7,
        np.array([900], dtype=np.int64),
        np.array([2_000_000], dtype=np.int64),
        [b"\xff"],
        [b"\x00junk"],
        {0: origin},
    )
    (letter,) = of_poison(copy, [Poison(0, "framing", "the first byte")], stage="ingest", region="eu", clock=Clock())
    assert decode(letter.value, DeadLetter) == letters()[0]


LOST = Conflict("pump", "t", NOW, value=2.0, standing=1.0)


def conflict(lost: Conflict = LOST) -> DeadLetter:
    (outgoing,) = of_conflicts([lost], region="eu", clock=Clock())
    assert (outgoing.topic, outgoing.key) == ("dead-letters", lost.device_id.encode())
    return decode(outgoing.value, DeadLetter)


def test_a_conflict_keeps_the_losing_reading_as_one_that_can_be_sent_again() -> None:
    letter = conflict()

    assert letter.value == encode(Reading(device_id="pump", ts=NOW, metrics={"t": 2.0}))
    assert (letter.stage, letter.reason, letter.topic, letter.key) == ("sink", "conflict", "readings", b"pump")
    assert letter.detail == "t at 2026-03-01T12:00:00+00:00: 1.0 stands, 2.0 lost"
    assert (letter.partition, letter.offset, letter.created) == (None, None, NOW)


@pytest.mark.parametrize(
    "other",
    [
        replace(LOST, device_id="fan"),
        replace(LOST, metric="p"),
        replace(LOST, ts=NOW + timedelta(microseconds=1)),
        replace(LOST, value=2.0000000000000004),
        replace(LOST, value=-2.0),
    ],
)
def test_another_loser_has_another_id(other: Conflict) -> None:
    assert conflict(other).id != conflict().id


def test_the_same_loser_has_the_same_id_whatever_it_lost_against() -> None:
    assert conflict().id == conflict(replace(LOST, standing=3.0)).id == "2a0d6bf0-7da3-52a5-8e2e-d6eea4142865"


@pytest.mark.parametrize(
    "microseconds", [-62_135_596_800_000_000, -1, 0, 1_772_366_400_123_456, 253_402_300_799_999_999]
)
def test_moments_are_exact(microseconds: int) -> None:
    assert (from_micros(microseconds) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == microseconds
