"""When the next detector snapshot is due: every few seconds, less often when writing one takes long."""


class SnapshotPacing:
    """Bounds two things: the share of time that goes into snapshots, and how much a crash makes us read again."""

    def __init__(self, *, min_s: float, max_s: float, share: float) -> None:
        """`share` is the part of the time that snapshots may take; it yields to `max_s`."""
        self._min_s = min_s
        self._max_s = max_s
        self._share = share
        self._interval_s = min_s
        self._last: float | None = None

    def due(self, now: float) -> bool:
        """Say whether a snapshot should be written now; the first interval starts with the first question."""
        if self._last is None:
            self._last = now
        return now - self._last >= self._interval_s

    def wait(self, now: float, *, unsaved: bool) -> float | None:
        """Give the seconds until the next snapshot is due, or None when there is nothing to write."""
        if not unsaved:
            return None
        return max(0.0, self._interval_s - (now - (self._last if self._last is not None else now)))

    def took(self, started: float, ended: float) -> None:
        """Learn from a snapshot how often the next ones may come."""
        self._last = ended
        self._interval_s = min(max((ended - started) / self._share, self._min_s), self._max_s)
