"""A circuit breaker: who fails again and again is left alone for a while, then tried with one call.

After Nygard, Release It! (2007). Pure: it is told the time, in seconds that never run backwards.

Probes are told to it, too. Those that fail open it; but who answers to a probe may fail all the same, so a probe never
closes it. It only spares the rest of the pause: where one before it has failed, the endpoint was away and is back.
"""

from dataclasses import dataclass

# How many failures in a row open it.
FAILURES = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(slots=True)
class Breaker:
    """Closed while calls succeed; open after failures, for twice as long each time; then one call is a trial."""

    failures: int = 0
    # Until when nothing is tried; None: closed.
    open_until: float | None = None
    pause_s: float = FIRST_PAUSE_S
    trial: bool = False
    # How often it was opened.
    openings: int = 0
    # Probes that failed in a row.
    missed: int = 0

    def allows(self, now: float) -> bool:
        """Say whether a call may begin."""
        if self.open_until is None:
            return True
        return now >= self.open_until and not self.trial

    def begin(self) -> bool:
        """Note that a call begins, which was allowed; say whether it is the trial."""
        if self.open_until is None:
            return False
        self.trial = True
        return True

    def succeeded(self, *, trial: bool) -> None:
        """Note a success. One that began before the failures says nothing of today: only the trial closes."""
        if self.open_until is not None and not trial:
            return
        self.failures, self.open_until, self.pause_s, self.trial = 0, None, FIRST_PAUSE_S, False

    def failed(self, now: float, *, trial: bool, at_once: bool = False) -> bool:
        """Note a failure, and say whether it opens; `at_once` opens without waiting for more of them."""
        self.failures += 1
        if trial:
            self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)
            self.trial = False
        elif self.open_until is not None or (self.failures < FAILURES and not at_once):
            return False
        self._open(now)
        return True

    def probed(self, now: float, *, alive: bool) -> bool:
        """Note whether something answered to a probe, and say whether that opens."""
        if alive:
            if self.open_until is not None and self.missed:
                self.open_until = min(self.open_until, now)
            self.missed = 0
            return False
        self.missed += 1
        if self.open_until is not None or self.missed < FAILURES:
            return False
        self._open(now)
        return True

    def given_up(self, *, trial: bool) -> None:
        """Note that a call ended without a result: another one may be the trial."""
        if trial:
            self.trial = False

    def _open(self, now: float) -> None:
        self.open_until = now + self.pause_s
        self.openings += 1
