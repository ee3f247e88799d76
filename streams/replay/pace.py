"""No more than so many a second, evenly."""

import time
from collections.abc import Callable
from typing import Final

from connectors.clock import Clock

# After a pause (the process was stopped, Kafka did not answer) what was missed is not caught up with.
BEHIND_S: Final = 1.0
# How often at least, at any rate, something happens.
_STEPS_A_SECOND: Final = 10


class Pace:
    """Lets a number of records go when their time has come; without a rate, at once."""

    def __init__(self, rate: float | None, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        """`rate` is records a second."""
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due = clock.monotonic()

    def most(self, limit: int) -> int:
        """Say how many records may go at once, so that they go evenly."""
        return limit if self._rate is None else max(1, min(limit, int(self._rate / _STEPS_A_SECOND)))

    def wait(self, count: int) -> None:
        """Wait until `count` records may go."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        if now > self._due + BEHIND_S:
            self._due = now
        if now < self._due:
            self._sleep(self._due - now)
        self._due += count / self._rate
