"""How many calls an endpoint gets at once: additive increase, multiplicative decrease (Chiu and Jain 1989).

More while calls succeed and all that are allowed are used; half after the endpoint said that it is too much, and nine
tenths when the last calls took far longer than usual. What a call says counts once: those that began before the last
decrease say nothing new. Pure: it is told the time, in seconds that never run backwards.
"""

from dataclasses import dataclass

LEAST = 1.0
AFTER_TOO_MANY, AFTER_SLOW = 0.5, 0.9
# Calls over which the recent and the usual latency are averaged, and how far apart they may be.
RECENT, USUAL = 20.0, 500.0
SLOW = 3.0


@dataclass(slots=True)
class Concurrency:
    """The limit of one endpoint, up to `most`."""

    most: int
    allowed: float = 0.0
    decreased_at: float = float("-inf")
    recent_s: float = 0.0
    usual_s: float = 0.0
    calls: int = 0

    def __post_init__(self) -> None:
        """Begin with all that the endpoint's owner allows."""
        self.allowed = self.allowed or float(self.most)

    @property
    def limit(self) -> int:
        """How many calls may be out."""
        return int(self.allowed)

    def succeeded(self, began: float, now: float, *, in_flight: int) -> None:
        """Note a success of a call that began then, with so many out, itself included."""
        self.calls += 1
        gain = 1.0 / self.calls
        self.recent_s += max(1.0 / RECENT, gain) * (now - began - self.recent_s)
        self.usual_s += max(1.0 / USUAL, gain) * (now - began - self.usual_s)
        if self.calls > RECENT and self.recent_s > SLOW * self.usual_s:
            self._decrease(AFTER_SLOW, began, now)
        elif in_flight >= self.limit:
            self.allowed = min(self.allowed + 1.0 / self.allowed, float(self.most))

    def too_many(self, began: float, now: float) -> None:
        """Note that the endpoint had too much, or has failed again and again."""
        self._decrease(AFTER_TOO_MANY, began, now)

    def _decrease(self, factor: float, began: float, now: float) -> None:
        if began > self.decreased_at:
            self.allowed = max(LEAST, factor * self.allowed)
            self.decreased_at = now
