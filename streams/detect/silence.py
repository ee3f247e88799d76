"""Who has fallen silent, judged by the log alone.

The clock is that of the log: it ticks with the first record that Kafka took ten seconds or more after the last tick,
and never twice for one record. A pause in which nobody was heard is no time at all: when the way into the log was shut,
no device is to blame for it.
"""

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from streams.columns.compiled import compiled
from streams.detect.layout import SERIES

Int64 = npt.NDArray[np.int64]

TICK_US = 10_000_000
# Silent for so many ticks at least, and so many times as long as ever before.
SILENT_TICKS, SILENT_TIMES = 6, 3
# Before that many readings nobody knows how often a series speaks.
PROBATION = 300

_ROWS = types.Array(from_dtype(SERIES), 1, "C")
_INT64S = types.Array(types.int64, 1, "C")


@compiled(types.int64(_ROWS, types.int64, types.int64, _INT64S))
def fallen_silent(rows: npt.NDArray[np.void], count: int, heard: int, found: Int64) -> int:
    """Write into `found` which of the first `count` series have just become silent; give how many there are."""
    silent = 0
    for index in range(count):
        row = rows[index]
        if row.silent or row.seen < PROBATION:
            continue
        longest = max(SILENT_TICKS, SILENT_TIMES * row.longest_silence)
        if heard - row.heard > longest:
            row.silent = 1
            # What is learnt of it: no more than this, or the next one would be noticed late.
            row.longest_silence = longest
            found[silent] = index
            silent += 1
    return silent


def silence(row: np.void, heard: int) -> float:
    """Give how long a series that has just fallen silent has been so, in multiples of what raises an alarm."""
    return (heard - int(row["heard"])) / int(row["longest_silence"])


class LogClock:
    """Counts the ticks in which something was heard."""

    def __init__(self, tick: int = -(2**62), heard: int = 0) -> None:
        """Start from the last tick, a multiple of `TICK_US` since the epoch, and the count."""
        self.tick = tick
        self.heard = heard

    def ticks(self, accepted: Int64) -> list[int]:
        """Give the positions in a batch of the records with which the clock ticks. `accepted`: Kafka's timestamps."""
        # Most batches have none; a division of every timestamp would cost more than all else that is done here.
        if accepted.max() < (self.tick + 1) * TICK_US:
            return []
        latest = np.maximum.accumulate(np.maximum(accepted // TICK_US, self.tick))
        positions: list[int] = np.flatnonzero(latest > np.concatenate(([self.tick], latest[:-1]))).tolist()
        return positions

    def move(self, accepted: int) -> None:
        """Tick with a record."""
        self.tick = accepted // TICK_US
        self.heard += 1
