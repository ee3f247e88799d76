"""Token buckets: what may be taken of a limit per minute, and a worker's share of it while nobody shares it out.

Pure: they are told the time, in seconds that never run backwards. `rates.lua` has the same arithmetic for all workers.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

WINDOW_S = 60.0
# What may be taken at once, as a part of the limit.
BURST = 0.1
# A wait is so long at least, or a clock might not notice that it is over.
LEAST_WAIT_S = 0.001


class Limits(NamedTuple):
    """Requests and tokens a minute; None: not limited."""

    rpm: int | None
    tpm: int | None


class Rate(NamedTuple):
    """What a bucket holds at most, and how much it gets a second."""

    capacity: float
    per_s: float

    @classmethod
    def of(cls, limit: int, workers: int = 1) -> Self:
        """Make the rate of each of so many workers that share a limit per minute.

        In less than 60 s all of them grant less than the sum of their capacities and of what they get in 60 s, which is
        limit + 1 (or nothing); requests and tokens are whole, so that is the limit at most.
        """
        capacity = max(1.0, BURST * limit / workers)
        return cls(capacity, max(0.0, (limit + 1) / workers - capacity) / WINDOW_S)


@dataclass(slots=True)
class Bucket:
    """What may be taken now; negative: a debt."""

    at: float
    level: float = 0.0
    # What was taken since somebody last asked.
    granted: float = 0.0

    def refill(self, rate: Rate, now: float) -> None:
        """Add what has come since the last time; what is over its capacity is lost."""
        self.level = min(rate.capacity, self.level + (now - self.at) * rate.per_s)
        self.at = now

    def wait_s(self, rate: Rate, amount: float, now: float) -> float:
        """Say in how many seconds so much may be taken, if nobody else takes; more than it holds: when it is full."""
        self.refill(rate, now)
        missing = min(amount, rate.capacity) - self.level
        if missing <= 0:
            return 0.0
        return max(missing / rate.per_s, LEAST_WAIT_S) if rate.per_s else math.inf

    def take(self, amount: float) -> None:
        """Take so much, which was allowed."""
        self.level -= amount
        self.granted += amount


class Lease:
    """A worker's own share of an endpoint's limits. It starts empty.

    So what it grants comes after what was granted before, and never on top of it: all leases together fill no faster
    than the bucket that they stand for, and hold no less.
    """

    def __init__(self, now: float) -> None:
        self.requests = Bucket(now)
        self.tokens = Bucket(now)

    def take(self, limits: Limits, workers: int, tokens: int, now: float) -> float:
        """Take a request and so many tokens: 0.0 if granted, else in how many seconds it may be; inf: never."""
        asked = [(self.requests, limits.rpm, 1), (self.tokens, limits.tpm, tokens)]
        limited = [(bucket, Rate.of(limit, workers), amount) for bucket, limit, amount in asked if limit is not None]
        wait_s = max((bucket.wait_s(rate, amount, now) for bucket, rate, amount in limited), default=0.0)
        if wait_s == 0.0:
            for bucket, _, amount in limited:
                bucket.take(amount)
        return wait_s

    def correct(self, tpm: int, workers: int, tokens: int, now: float) -> None:
        """Take more tokens than was thought, or take back so many, but no more than came from here."""
        rate = Rate.of(tpm, workers)
        self.tokens.refill(rate, now)
        self.tokens.take(max(tokens, -self.tokens.granted))
        self.tokens.refill(rate, now)

    def empty(self, now: float) -> None:
        """Begin anew, with the debts."""
        for bucket in (self.requests, self.tokens):
            bucket.level, bucket.at = min(bucket.level, 0.0), now

    def settle(self, limits: Limits, workers: int, now: float) -> tuple[float, float]:
        """Say how many requests and tokens were granted that the time since has not made up for; once."""
        return _settle(self.requests, limits.rpm, workers, now), _settle(self.tokens, limits.tpm, workers, now)

    def unsettle(self, owed: tuple[float, float]) -> None:
        """Take a settlement back, that did not arrive."""
        self.requests.granted += owed[0]
        self.tokens.granted += owed[1]


def _settle(bucket: Bucket, limit: int | None, workers: int, now: float) -> float:
    if limit is None:
        return 0.0
    rate = Rate.of(limit, workers)
    bucket.refill(rate, now)
    owed = max(0.0, min(bucket.granted, rate.capacity - bucket.level))
    bucket.granted = 0.0
    return owed
