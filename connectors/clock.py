"""Time, as something that is handed over: tests bring a clock of their own."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, for people and for measuring."""

    def now(self) -> datetime:
        """Give the wall clock, in UTC."""

    def monotonic(self) -> float:
        """Give seconds that never run backwards, from an arbitrary start."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Give the wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never run backwards, from an arbitrary start."""
        return time.monotonic()
