"""Snapshots come every few seconds, less often when they are slow, and never too seldom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.agents.pacing import SnapshotPacing


def pacing(min_s: float = 1.0, max_s: float = 30.0, share: float = 0.05) -> SnapshotPacing:
    return SnapshotPacing(min_s=min_s, max_s=max_s, share=share)


def test_the_first_interval_starts_with_the_first_question() -> None:
    pace = pacing()

    assert not pace.due(1000.0)
    assert not pace.due(1000.9)
    assert pace.due(1001.0)


def test_a_fast_snapshot_keeps_the_shortest_interval() -> None:
    pace = pacing()
    pace.took(10.0, 10.01)

    assert not pace.due(11.0)
    assert pace.due(11.01)


def test_a_slow_snapshot_makes_the_next_ones_rarer() -> None:
    pace = pacing()
    pace.took(10.0, 10.5)

    assert not pace.due(20.4)
    assert pace.due(20.5), "half a second is a twentieth of ten"
    pace.took(20.5, 20.51)
    assert pace.due(21.51), "and it is forgotten when the next is fast"


def test_the_longest_interval_stands_over_the_share_of_time() -> None:
    pace = pacing()
    pace.took(0.0, 100.0)

    assert pace.due(130.0)


def test_waiting() -> None:
    pace = pacing(min_s=2.0)

    assert pace.wait(5.0, unsaved=False) is None
    assert pace.wait(5.0, unsaved=True) == 2.0
    pace.took(5.0, 5.05)
    assert pace.wait(6.05, unsaved=True) == pytest.approx(1.0)
    assert pace.wait(60.0, unsaved=True) == 0.0
    assert pace.wait(60.0, unsaved=False) is None


@given(st.lists(st.floats(0.0, 1.4), min_size=5, max_size=30), st.floats(0.0, 1e6))
def test_snapshots_take_no_more_than_their_share_of_the_time(durations: list[float], start: float) -> None:
    pace = pacing()
    now = start
    spent = 0.0
    pace.due(now)
    for took in durations:
        wait = pace.wait(now, unsaved=True)
        assert wait is not None
        assert wait <= 30.0
        now += wait + 1e-6
        assert pace.due(now)
        pace.took(now, now + took)
        now += took
        spent += took
    # The last one has not had its pause yet.
    assert spent - durations[-1] <= 0.05 * (now - start) + 1e-3
