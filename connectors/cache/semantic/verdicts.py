"""Verdicts of the recent past, in buckets of time: old ones fade, and those of several processes add up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

# Seconds of a bucket, and how many of them count: a week.
BUCKET_S, KEPT = 1800, 336

# By the number of the bucket since the epoch: how many were checked, and how many of these were wrong.
Buckets = Mapping[int, tuple[int, int]]


def bucket_of(now: float) -> int:
    """Give the number of the bucket for a moment, in seconds since the epoch."""
    return math.floor(now / BUCKET_S)


def merged(*several: Buckets) -> dict[int, tuple[int, int]]:
    """Add up the buckets of several processes, the oldest first."""
    sums: dict[int, tuple[int, int]] = {}
    for buckets in several:
        for number, (checked, wrong) in buckets.items():
            before = sums.get(number, (0, 0))
            sums[number] = (before[0] + checked, before[1] + wrong)
    return dict(sorted(sums.items()))


@dataclass(slots=True)
class Window:
    """One process's own verdicts."""

    buckets: dict[int, tuple[int, int]] = field(default_factory=dict)

    def note(self, now: float, *, wrong: bool) -> None:
        """Add a verdict at this moment, in seconds since the epoch; forget those that are too old by now."""
        number = bucket_of(now)
        checked, bad = self.buckets.get(number, (0, 0))
        self.buckets[number] = (checked + 1, bad + wrong)
        if not checked:
            self.buckets = recent(self.buckets, number)


def recent(buckets: Buckets, newest: int, after: int | None = None) -> dict[int, tuple[int, int]]:
    """Give the buckets that count while `newest` is the newest, but for those up to `after`.

    One more than `newest` counts too, as clocks differ; what claims to be from later does not.
    """
    first = newest - KEPT + 1 if after is None else max(newest - KEPT, after) + 1
    return {number: verdicts for number, verdicts in buckets.items() if first <= number <= newest + 1}


def total(buckets: Buckets) -> tuple[int, int]:
    """Give how many were checked in all buckets, and how many of these were wrong."""
    return sum(checked for checked, _ in buckets.values()), sum(wrong for _, wrong in buckets.values())
