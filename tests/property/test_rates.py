"""Buckets and leases: whatever is taken and whenever, no minute has more than the limit."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from connectors.redis.bucket import WINDOW_S, Bucket, Lease, Limits, Rate

LIMITS = st.one_of(st.integers(1, 30), st.integers(1, 300))
WORKERS = st.integers(1, 12)
# Whole microseconds, as Redis measures; short and long, and just about a minute.
PAUSES = st.one_of(
    st.integers(0, 2_000_000), st.integers(0, 70_000_000), st.integers(59_999_998, 60_000_002), st.just(6_000_000)
)
PER_S = 1_000_000


def most_in_a_window(granted: list[tuple[int, float]]) -> float:
    """The most that was granted within less than a minute, of (microsecond, amount)."""
    most, total, first = 0.0, 0.0, 0
    for moment, amount in granted:
        total += amount
        while moment - granted[first][0] >= WINDOW_S * PER_S:
            total -= granted[first][1]
            first += 1
        most = max(most, total)
    return most


@given(
    limit=LIMITS,
    level=st.floats(0, 1),
    steps=st.lists(st.tuples(PAUSES, st.floats(0, 1), st.booleans()), max_size=60),
)
def test_one_bucket_grants_no_more_than_the_limit_in_any_minute(
    limit: int, level: float, steps: list[tuple[int, float, bool]]
) -> None:
    rate = Rate.of(limit)
    bucket = Bucket(0.0, level * rate.capacity)
    now = 0
    granted: list[tuple[int, float]] = []
    for pause, part, greedy in steps:
        now += pause
        amount = max(1, int(part * rate.capacity))
        while bucket.wait_s(rate, amount, now / PER_S) == 0.0:
            bucket.take(amount)
            granted.append((now, amount))
            if not greedy:
                break
    assert most_in_a_window(granted) <= limit


@given(limit=LIMITS, workers=WORKERS, data=st.data())
def test_all_leases_together_grant_no_more_than_the_limit_in_any_minute(
    limit: int, workers: int, data: st.DataObject
) -> None:
    leases = [Lease(0.0) for _ in range(workers)]
    who = st.one_of(st.integers(0, workers - 1), st.none())  # None: all of them
    steps = data.draw(st.lists(st.tuples(PAUSES, who), max_size=40))
    now, granted = 0, []
    for pause, index in steps:
        now += pause
        for lease in leases if index is None else [leases[index]]:
            while lease.take(Limits(limit, None), workers, 0, now / PER_S) == 0.0:
                granted.append((now, 1.0))
    assert most_in_a_window(granted) <= limit


@given(
    limit=LIMITS,
    workers=WORKERS,
    full=st.sampled_from([0, 1]),
    before=st.lists(PAUSES, max_size=15),
    away=st.lists(PAUSES, min_size=1, max_size=15),
    after=st.lists(PAUSES, max_size=15),
)
def test_going_to_leases_and_back_grants_no_more_than_the_limit_in_any_minute(
    limit: int, workers: int, full: int, before: list[int], away: list[int], after: list[int]
) -> None:
    rate, limits = Rate.of(limit), Limits(limit, None)
    shared = Bucket(0.0, rate.capacity if full else 1.0)
    now, granted = 0, []

    def share() -> None:
        while shared.wait_s(rate, 1, now / PER_S) == 0.0:
            shared.take(1)
            granted.append((now, 1.0))

    for pause in before:
        now += pause
        share()
    leases = [Lease(now / PER_S) for _ in range(workers)]
    for pause in away:
        now += pause
        for lease in leases:
            while lease.take(limits, workers, 0, now / PER_S) == 0.0:
                granted.append((now, 1.0))
    shared.refill(rate, now / PER_S)
    for lease in leases:
        shared.level -= lease.settle(limits, workers, now / PER_S)[0]
    share()
    for pause in after:
        now += pause
        share()
    assert most_in_a_window(granted) <= limit


@given(
    limit=LIMITS, workers=WORKERS, tokens=st.integers(0, 3000), takes=st.lists(st.tuples(PAUSES, st.integers(0, 3000)))
)
def test_after_the_wait_that_was_said_it_is_granted(
    limit: int, workers: int, tokens: int, takes: list[tuple[int, int]]
) -> None:
    lease, now = Lease(0.0), 0.0
    for pause, amount in takes:
        now += pause / PER_S
        lease.take(Limits(None, limit), workers, amount, now)
    waits = []
    for _ in range(3):  # again where the first was rounded
        waits.append(lease.take(Limits(None, limit), workers, tokens, now))
        if waits[-1] in {0.0, math.inf}:
            break
        now += waits[-1]
    assert waits[-1] == 0.0 or (waits[-1] == math.inf and limit < workers)


@given(limits=st.lists(LIMITS, min_size=2, max_size=8), pause=PAUSES)
def test_what_a_bucket_holds_is_cut_to_what_the_limit_of_today_allows(limits: list[int], pause: int) -> None:
    bucket, now = Bucket(0.0, math.inf), 0.0
    for _, limit in pairwise(limits):
        now += pause / PER_S
        bucket.refill(Rate.of(limit), now)
        assert bucket.level <= Rate.of(limit).capacity
