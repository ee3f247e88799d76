"""What was accepted, and when: written down by whoever sends, compared with the table at the end."""

import time
from array import array
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.drill.fleet import Stream

# A mark says what was going on when a reading was accepted: nothing, or the fault of that number, plus one.
NOT_ACCEPTED: Final = 0
IN_PEACE: Final = 1
GROWTH: Final = 1 << 16


class Present:
    """What is going on at the moment; written by whoever injects faults, read by all who send."""

    def __init__(self) -> None:
        self.mark = IN_PEACE


class Book:
    """The accepted readings of one stream. One thread writes."""

    def __init__(self, stream: Stream, present: Present) -> None:
        self.stream = stream
        self.accepted = 0
        self._present = present
        self._marks = array("H", bytes(2 * GROWTH))
        self._times = array("d", bytes(8 * GROWTH))

    def accept(self, number: int) -> None:
        """Write a reading down; again for one that was sent twice changes nothing."""
        while number >= len(self._marks):
            self._marks.frombytes(bytes(2 * GROWTH))
            self._times.frombytes(bytes(8 * GROWTH))
        if self._marks[number] == NOT_ACCEPTED:
            self._marks[number] = self._present.mark
            self._times[number] = time.time()
            self.accepted += 1

    def marks(self) -> npt.NDArray[np.uint16]:
        """Give the mark of each reading, by number."""
        return np.array(self._marks, dtype=np.uint16)

    def times(self) -> npt.NDArray[np.float64]:
        """Give the Unix time at which each reading was accepted, by number; 0 for those that were not."""
        return np.array(self._times, dtype=np.float64)


@dataclass(slots=True)
class Counter:
    """A device that rewrites one key with a growing number: the last one that Kafka has must stand."""

    device: str
    ts_us: int
    sent: int = 0
    accepted: int = 0
