"""How long an endpoint's last calls took."""

from collections import deque

CALLS = 128
# Of fewer nobody knows what is usual.
FEWEST = 20


class Latencies:
    """The last calls' latencies, in seconds."""

    def __init__(self) -> None:
        """Begin with none."""
        self._last: deque[float] = deque(maxlen=CALLS)

    def add(self, seconds: float) -> None:
        """Note a call."""
        self._last.append(seconds)

    def quantile(self, part: float) -> float | None:
        """Give the latency that so many of the calls did not pass; None while there are too few of them."""
        if len(self._last) < FEWEST:
            return None
        ordered = sorted(self._last)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]
