"""Each period is done once, by one of many; a period that failed is done again."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.timescale import schedules
from connectors.timescale.devices import DeviceSeen
from connectors.timescale.schedules import Schedule, Series
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store

pytestmark = pytest.mark.database

Fetch = Callable[..., list[tuple[object, ...]]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURLY = Schedule("hourly", HOUR, 5 * MINUTE)


class Work:
    """Notes what it was called for; fails as often as it is told."""

    def __init__(self, fails: int = 0) -> None:
        self.done: list[tuple[datetime, list[Series]]] = []
        self.fails = fails

    def __call__(self, start: datetime, pages: Iterator[list[Series]]) -> None:
        found = [series for page in pages for series in page]
        if self.fails:
            self.fails -= 1
            raise LookupError
        self.done.append((start, found))


def begun(store: Store) -> None:
    """Make the schedule known, at 11:30: its first period is that of 11 o'clock."""
    work = Work()
    assert not store.run_schedule(HOURLY, NOON - 30 * MINUTE, work)
    assert work.done == []


def test_a_period_is_due_when_it_has_settled_and_is_done_once(store: Store) -> None:
    begun(store)
    work = Work()
    assert not store.run_schedule(HOURLY, NOON + 4 * MINUTE, work)
    assert store.run_schedule(HOURLY, NOON + 5 * MINUTE, work)
    assert not store.run_schedule(HOURLY, NOON + 6 * MINUTE, work)
    assert work.done == [(NOON - HOUR, [])]


def test_periods_that_nobody_did_are_passed_over_but_for_the_last(store: Store) -> None:
    begun(store)
    work = Work()
    assert store.run_schedule(HOURLY, NOON + 30 * HOUR, work)
    assert not store.run_schedule(HOURLY, NOON + 30 * HOUR, work)
    # The last one that has settled: not yet that which ended just now.
    assert work.done == [(NOON + 28 * HOUR, [])]


def test_a_period_that_failed_is_done_again(store: Store) -> None:
    begun(store)
    work = Work(fails=1)
    with pytest.raises(LookupError):
        store.run_schedule(HOURLY, NOON + HOUR, work)
    assert store.run_schedule(HOURLY, NOON + HOUR, work)
    assert len(work.done) == 1


def test_while_somebody_does_a_period_nobody_else_does(store: Store, database: DatabaseSettings) -> None:
    begun(store)
    other = Store(database)
    asked: list[bool] = []

    def work(_start: datetime, _pages: Iterator[list[Series]]) -> None:
        asked.append(other.run_schedule(HOURLY, NOON + HOUR, Work()))

    assert store.run_schedule(HOURLY, NOON + HOUR, work)
    assert asked == [False]
    other.close()


def test_pages_hold_the_series_that_spoke_in_the_period(
    store: Store, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "PAGE", 2)
    begun(store)
    store.see_devices([DeviceSeen(device, NOON, NOON) for device in ("a", "b", "c", "d", "e")])
    store.see_devices([DeviceSeen("gone", NOON - 9 * HOUR, NOON - 9 * HOUR)])
    spoke = [
        ("a", "p", 0),
        ("a", "t", 0),
        ("a", "t", 59),
        ("c", "t", 30),
        ("d", "old", -1),
        ("d", "new", 60),
        ("e", "x", 1),
        ("e", "y", -1),
        ("e", "z", 60),
    ]
    for device, metric, minute in [*spoke, ("gone", "t", 0)]:
        at = NOON - HOUR + minute * MINUTE
        fetch("insert into readings values (%s, %s, %s, 1.0, now()) returning 1", at, device, metric)
    work = Work()
    assert store.run_schedule(HOURLY, NOON + 10 * MINUTE, work)
    assert work.done == [(NOON - HOUR, [Series("a", "p"), Series("a", "t"), Series("c", "t"), Series("e", "x")])]
