"""Waiting for a number to grow, and giving up when it does not."""

import time
from collections.abc import Callable

POLL_S = 0.2
STARTED_WITHIN_S = 45.0
STALLED_S = 10.0


def grown(
    count: Callable[[], int],
    wanted: int,
    alive: Callable[[], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Look until `count` has reached `wanted`, or has not grown for long; give the last number.

    `alive` is called at each look and may raise. The start has more patience than what follows.
    """
    seen, changed = 0, clock()
    while True:
        alive()
        before, seen = seen, count()
        if seen >= wanted:
            return seen
        now = clock()
        if seen > before:
            changed = now
        elif now - changed > (STALLED_S if seen else STARTED_WITHIN_S):
            return seen
        pause(POLL_S)
