"""How many records a replay is about, by partition and by the time of acceptance: what `--dry-run` shows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from confluent_kafka import Message

from schemas.instants import from_micros

MOST_BARS: Final = 24
_MINUTE_MS: Final = 60_000
# How much time a bar may stand for, in minutes: what people count in.
_WIDTHS: Final = (1, 5, 15, 30, 60, 180, 360, 720, 1440, 7 * 1440, 30 * 1440)


class Tally:
    """Counts records as they come by."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.partitions: Counter[int] = Counter()
        self._minutes: Counter[int] = Counter()

    def add(self, messages: Sequence[Message]) -> None:
        """Count records."""
        self.partitions.update(int(message.partition() or 0) for message in messages)
        times = np.fromiter((message.timestamp()[1] for message in messages), dtype=np.int64, count=len(messages))
        minutes, counts = np.unique(times // _MINUTE_MS, return_counts=True)
        self._minutes.update(dict(zip(minutes.tolist(), counts.tolist(), strict=True)))

    @property
    def total(self) -> int:
        """All of them."""
        return self.partitions.total()

    def bars(self) -> list[tuple[datetime, int]]:
        """Give how many were accepted from an instant on, until the next one: at most 24 spans of the same length."""
        if not self._minutes:
            return []
        first, last = min(self._minutes), max(self._minutes)
        width = next((width for width in _WIDTHS if _bars(first, last, width) <= MOST_BARS), None)
        if width is None:
            width = -(-(last - first + 1) // (MOST_BARS - 1))
        start = first // width
        counts = [0] * _bars(first, last, width)
        for minute, count in self._minutes.items():
            counts[minute // width - start] += count
        begin = from_micros(start * width * _MINUTE_MS * 1000)
        return [(begin + number * timedelta(minutes=width), count) for number, count in enumerate(counts)]


def _bars(first: int, last: int, width: int) -> int:
    return last // width - first // width + 1


def tally(chunks: Iterable[Sequence[Message]]) -> Tally:
    """Count all."""
    counted = Tally()
    for messages in chunks:
        counted.add(messages)
    return counted
