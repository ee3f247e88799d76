from datetime import UTC, datetime, timedelta, timezone

import pytest

from connectors.mqtt import values
from schemas import instants
from schemas.errors import PoisonError

SEEN: list[object] = [
    "2026-03-01T12:00:00",
    "2026-03-01 12:00:00.123456",
    "2026-03-01T12:00:00+02:00",
    "2026-03-01T12:00:00Z",
    "2026-03-01",
    "0001-01-01T00:00:00+10:00",
    "12 o'clock",
    "",
    0,
    -1,
    1_772_366_400,
    1_772_366_400.25,
    1_772_366_400_123,
    1_772_366_400_123_456,
    99_999_999_999,
    100_000_000_000,
    10**30,
    1e300,
    float("nan"),
    float("inf"),
    True,
    None,
    [],
]


@pytest.mark.parametrize("seen", SEEN, ids=repr)
def test_what_is_no_time_is_refused_in_the_way_of_who_asks(seen: object) -> None:
    try:
        found = instants.instant(seen)
    except ValueError:
        with pytest.raises(PoisonError, match="time"):
            values.instant(seen)
    else:
        assert values.instant(seen) == found
        assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        (1_772_366_400, "2026-03-01T12:00:00"),
        (1_772_366_400_123, "2026-03-01T12:00:00.123"),
        (1_772_366_400_123_456, "2026-03-01T12:00:00.123456"),
        ("2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00"),
        ("2026-03-01", "2026-03-01T00:00:00"),
    ],
)
def test_a_number_tells_its_unit_by_its_size(seen: object, meant: str) -> None:
    assert instants.instant(seen) == datetime.fromisoformat(f"{meant}+00:00")


def test_a_naive_time_is_utc() -> None:
    assert instants.instant("2026-03-01T12:00:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_micros_and_back_are_exact() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123_457, tzinfo=UTC)
    assert instants.from_micros(instants.to_micros(moment)) == moment


def test_a_time_is_written_in_utc() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert instants.to_text(moment) == "2026-03-01T10:00:00Z"
