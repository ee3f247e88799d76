"""The series of one partition: found by name, written down in blocks, and in which tier each is.

The first series that speak get a row of the full tier, as many as there is memory for; which these are is a function of
the log, too.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.columns.growth import grown
from streams.columns.names import Name, Names
from streams.columns.texts import Texts
from streams.detect import snapshot
from streams.detect.layout import FULL, SERIES
from streams.detect.snapshot import SnapshotError

# Series a snapshot block: small enough that a few busy devices rewrite little, large enough to be few rows.
BLOCK_BITS = 6
BLOCK = 1 << BLOCK_BITS
# The table grows by an eighth: a series may not take much more than its row.
GROWTH = 8
NEVER = np.iinfo(np.int64).min

Indices = npt.NDArray[np.int64]


class SeriesTable:
    """The state of all series of one partition; rows are added and never removed."""

    def __init__(self, full_bytes: int = 0) -> None:
        """Start with no series. Rows of the full tier may take `full_bytes`."""
        self.rows = np.zeros(BLOCK, dtype=SERIES)
        # The system gives the memory of a row when something is written into it.
        self.full = np.zeros(full_bytes // FULL.itemsize, dtype=FULL)
        self._in_full = 0
        self._names = Names()
        self._changed = np.zeros(1, dtype=np.bool_)  # of each block, since the last snapshot

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> Name:
        """Give the device and the metric of a row."""
        return self._names[index]

    def index(self, name: Name) -> int:
        """Find a series' row; a new series gets the next one."""
        device, metric = (Texts.of(pa.array([text], pa.string())) for text in name)
        return int(self.indices(device, metric)[0])

    def indices(self, devices: Texts, metrics: Texts) -> Indices:
        """Find the row of each device's metric; a new series gets the next one, in the order of first appearance."""
        known = len(self)
        found = self._names.numbers(devices, metrics)
        if len(self) > known:
            self.rows = grown(self.rows, len(self), parts=GROWTH)
            new = self.rows[known : len(self)]
            new["last_ts"] = new["quiet_ts"] = NEVER
            new["low"], new["high"] = -np.inf, np.inf
            given = self._in_full + np.arange(len(new))
            new["full"] = np.where(given < len(self.full), given, -1)
            self._in_full = min(int(self._in_full + len(new)), len(self.full))
        return found

    def limit(self, index: int, low: float, high: float) -> None:
        """Set the range that a series may be in; infinite bounds take a limit away."""
        row = self.rows[index]
        if (row["low"], row["high"]) != (low, high):
            row["low"], row["high"] = low, high
            self.touched(np.array([index]))

    def touched(self, indices: Indices) -> None:
        """Note that these rows changed since the last snapshot."""
        self._changed = grown(self._changed, -(-len(self) // BLOCK))
        self._changed[indices >> BLOCK_BITS] = True

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def changed_blocks(self) -> dict[int, bytes]:
        """Write down the blocks that changed since the last `saved`."""
        return {block: self._write(block) for block in np.flatnonzero(self._changed).tolist()}

    def saved(self) -> None:
        """Note that what `changed_blocks` gave is in a safe place."""
        self._changed[:] = False

    def _write(self, block: int) -> bytes:
        first, end = block * BLOCK, min((block + 1) * BLOCK, len(self))
        return snapshot.write(self._names.column(first, end), self.rows[first:end], self.full)

    @classmethod
    def restore(cls, blocks: dict[int, bytes], full_bytes: int = 0) -> "SeriesTable":
        """Read what `changed_blocks` wrote, over time, into the state that it was.

        Who was in the full tier stays there, even if it may take less memory by now.

        Raises:
            SnapshotError: a block is missing, damaged, or of another layout.

        """
        table = cls(full_bytes)
        table.rows = grown(table.rows, len(blocks) * BLOCK)
        for number, block in enumerate(sorted(blocks)):
            if number != block or len(table) != number * BLOCK:
                raise SnapshotError(f"a block of a detector snapshot before number {block} is missing or incomplete")
            table._read(blocks[block])
        return table

    def _read(self, block: bytes) -> None:
        devices, metrics, rows, full = snapshot.read(block)
        first, end, in_full = len(self), len(self) + len(rows), self._in_full
        found = self.indices(devices, metrics)
        if len(self) != end or not (found == np.arange(first, end)).all():
            raise SnapshotError("a series stands twice in a detector snapshot")
        self.rows[first:end] = rows
        places = rows["full"].tolist()
        self._in_full = max([in_full, *(place + 1 for place in places)])
        self.full = grown(self.full, self._in_full, parts=GROWTH)
        for place, row in zip(places, full, strict=True):
            if row is not None:
                self.full[place] = row
