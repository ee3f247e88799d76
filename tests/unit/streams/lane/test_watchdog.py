"""A worker that stands still is noticed; one that waits, works or has nothing to do is left alone."""

import pytest

from streams.lane.watchdog import StalledError, Watchdog

HERE = ("readings", 3)


@pytest.fixture
def watchdog() -> Watchdog:
    return Watchdog(idle_s=60.0, busy_s=900.0)


def test_records_that_nobody_reads(watchdog: Watchdog) -> None:
    watchdog.look(0.0, {HERE: 5}, {HERE: 10}, busy=False)
    watchdog.look(60.0, {HERE: 5}, {HERE: 20}, busy=False)
    with pytest.raises(StalledError, match=r"60 s .* readings\[3\] at 5 of 20"):
        watchdog.look(61.0, {HERE: 5}, {HERE: 20}, busy=False)


def test_one_partition_that_stands_still_among_others_that_move(watchdog: Watchdog) -> None:
    other = ("readings", 4)
    for second in range(0, 61, 10):
        watchdog.look(second, {HERE: 5, other: second}, {HERE: 10, other: 1000}, busy=False)
    with pytest.raises(StalledError, match=r"readings\[3\] at 5 of 10\."):
        watchdog.look(70.0, {HERE: 5, other: 70}, {HERE: 10, other: 1000}, busy=False)


def test_nothing_to_read_is_no_stall(watchdog: Watchdog) -> None:
    for second in (0.0, 500.0, 5000.0):
        watchdog.look(second, {HERE: 10}, {HERE: 10}, busy=False)
    watchdog.look(5059.0, {HERE: 10}, {HERE: 11}, busy=False)  # it has just come


def test_slow_work_has_more_time_but_not_for_ever(watchdog: Watchdog) -> None:
    for second in range(0, 901, 100):
        watchdog.look(second, {HERE: 5}, {HERE: 10}, busy=True)
    with pytest.raises(StalledError, match="900 s"):
        watchdog.look(901.0, {HERE: 5}, {HERE: 10}, busy=True)


def test_work_that_ends_starts_the_time_for_reading(watchdog: Watchdog) -> None:
    watchdog.look(0.0, {HERE: 5}, {HERE: 10}, busy=True)
    watchdog.look(500.0, {HERE: 5}, {HERE: 10}, busy=True)
    watchdog.look(559.0, {HERE: 5}, {HERE: 10}, busy=False)
    with pytest.raises(StalledError):
        watchdog.look(561.0, {HERE: 5}, {HERE: 10}, busy=False)


def test_a_partition_that_went_and_came_back_starts_anew(watchdog: Watchdog) -> None:
    watchdog.look(0.0, {HERE: 5}, {HERE: 10}, busy=False)
    watchdog.look(50.0, {}, {}, busy=False)
    watchdog.look(100.0, {HERE: 5}, {HERE: 10}, busy=False)
    watchdog.look(159.0, {HERE: 5}, {HERE: 10}, busy=False)
