"""Whether two clocks agree, as far as one question and its answer can tell."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from streams.doctor.finding import Finding

# Conflicts are decided, and letters are open, by comparing the times of several machines.
MOST_APART_S: Final = 1.0


def skew_s(ask: Callable[[], datetime]) -> float:
    """Say by how many seconds a clock is ahead of ours at least; negative if it is behind.

    What the answer may have been under way is in its favour (F. Cristian, Probabilistic clock synchronization, 1989).
    """
    before = time.time()
    theirs = ask().timestamp()
    after = time.time()
    if theirs > after:
        return theirs - after
    return min(0.0, theirs - before)


def finding(what: str, apart_s: float) -> Finding:
    """Say whether that is too far."""
    fine = abs(apart_s) <= MOST_APART_S
    seen = "agrees with ours" if fine else f"{abs(apart_s):.1f} s {'ahead of' if apart_s > 0 else 'behind'} ours"
    cure = "" if fine else "Let both machines keep time with NTP: what was accepted first is decided by these clocks."
    return Finding(f"{what} clock", fine, seen, cure)
