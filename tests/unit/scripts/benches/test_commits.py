"""The rate between commits: the start is left out, and too few commits give none."""

import numpy as np

from scripts.benches.commits import Span, span


def test_the_span_begins_with_the_commit_that_completes_what_is_left_out() -> None:
    at = np.array([10.0, 11.0, 12.0, 14.0])
    rows = np.array([10, 10, 40, 40])
    # 15 of 100 rows are left out: they are complete with the second commit.
    assert span(at, rows) == Span(11.0, 14.0, 80)
    assert Span(11.0, 14.0, 80).rows_per_s == 80 / 3


def test_a_first_commit_that_is_large_enough_begins_the_span() -> None:
    assert span(np.array([1.0, 3.0]), np.array([50, 50])) == Span(1.0, 3.0, 50)


def test_too_few_commits_give_no_rate() -> None:
    assert span(np.array([]), np.array([], dtype=np.int64)) is None
    assert span(np.array([5.0]), np.array([1000])) is None
    assert span(np.array([5.0, 5.0]), np.array([10, 1000])) is None
