"""Windows come out of the table the same, whichever way they are read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from connectors.timescale.store import Store
from connectors.timescale.windows import Bucket, Window

pytestmark = pytest.mark.database

Fetch = Callable[..., list[tuple[object, ...]]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def insert(fetch: Fetch) -> Callable[..., None]:
    def insert(device: str, metric: str, *values: tuple[timedelta, float]) -> None:
        for after, value in values:
            at = NOON + after
            fetch("insert into readings values (%s, %s, %s, %s, now()) returning 1", at, device, metric, value)

    return insert


def test_windows_of_any_length_are_read_in_one_go(store: Store, insert: Callable[..., None]) -> None:
    insert("pump", "t", (timedelta(0), 1.0), (0.5 * SECOND, 3.0), (90 * SECOND, 5.0), (HOUR, 7.0), (3 * HOUR, 99.0))
    insert("pump", "p", (timedelta(0), 1000.0))
    insert("fan", "t", (MINUTE, -4.0))
    seconds, minutes, hours, fan, none = store.windows(
        [
            Window("pump", "t", NOON, NOON + 2 * MINUTE),
            Window("pump", "t", NOON, NOON + 2 * HOUR),
            Window("pump", "t", NOON - 24 * HOUR, NOON + 2 * HOUR),
            Window("fan", "t", NOON, NOON + 2 * HOUR),
            Window("nobody", "t", NOON, NOON + HOUR),
        ]
    )
    assert seconds == [Bucket(NOON, 2, 2.0, 1.0, 3.0), Bucket(NOON + 90 * SECOND, 1, 5.0, 5.0, 5.0)]
    assert minutes == [
        Bucket(NOON, 2, 2.0, 1.0, 3.0),
        Bucket(NOON + MINUTE, 1, 5.0, 5.0, 5.0),
        Bucket(NOON + HOUR, 1, 7.0, 7.0, 7.0),
    ]
    assert hours == [Bucket(NOON, 3, 3.0, 1.0, 5.0), Bucket(NOON + HOUR, 1, 7.0, 7.0, 7.0)]
    assert fan == [Bucket(NOON + MINUTE, 1, -4.0, -4.0, -4.0)]
    assert none == []
    assert store.windows([]) == []


@pytest.mark.parametrize("length", [2 * MINUTE, 2 * HOUR, 24 * HOUR])
def test_huge_values_have_extremes_and_no_mean(store: Store, insert: Callable[..., None], length: timedelta) -> None:
    insert("pump", "t", (timedelta(0), 1.7e308), (0.1 * SECOND, -1.7e308))
    assert store.windows([Window("pump", "t", NOON, NOON + length)]) == [[Bucket(NOON, 2, None, -1.7e308, 1.7e308)]]
