"""How fast a replay goes."""

import pytest

from streams.replay.pace import Pace
from tests.fakes.hand_clock import HandClock


class Slept:
    """Moves the clock by what is slept, and remembers it."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.naps: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.clock.move(seconds)


@pytest.mark.parametrize("rate", [0.5, 3, 1_000, 70_000])
def test_it_keeps_the_rate(rate: float) -> None:
    clock = HandClock()
    pace = Pace(rate, clock, Slept(clock))
    began, count = clock.monotonic(), 0
    while clock.monotonic() - began < 60:
        step = pace.most(5_000)
        pace.wait(step)
        count += step
        clock.move(0.0001)
    assert count / 60 == pytest.approx(rate, rel=0.05)


def test_it_goes_evenly() -> None:
    clock = HandClock()
    slept = Slept(clock)
    pace = Pace(100, clock, slept)
    assert pace.most(5_000) == 10
    for _ in range(50):
        pace.wait(pace.most(5_000))
    assert max(slept.naps) <= 0.11


def test_after_a_pause_it_does_not_catch_up() -> None:
    clock = HandClock()
    slept = Slept(clock)
    pace = Pace(100, clock, slept)
    pace.wait(10)
    clock.move(3600)
    before = clock.monotonic()
    for _ in range(11):
        pace.wait(10)
    assert clock.monotonic() - before == pytest.approx(1.0)


def test_without_a_rate_nothing_waits() -> None:
    clock = HandClock()
    slept = Slept(clock)
    pace = Pace(None, clock, slept)
    assert pace.most(5_000) == 5_000
    pace.wait(10**9)
    assert slept.naps == []
