"""Notices a worker that has stopped working and still looks alive: heartbeats go on whatever the rest of it does."""

from collections.abc import Mapping

from schemas.errors import TidegateError

Partition = tuple[str, int]


class StalledError(TidegateError):
    """There is something to read, and nothing moves."""


class Watchdog:
    """Watches the positions of one member of a group."""

    def __init__(self, *, idle_s: float, busy_s: float) -> None:
        """Bound how long a partition that has records may stand still.

        `idle_s` holds while the client is asked for records and gives none, `busy_s` while the agent works on what it
        has (it waits for a database that is away, so this is longer than that patience).
        """
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._seen: dict[Partition, int] = {}
        self._idle_since: dict[Partition, float] = {}
        self._moved: dict[Partition, float] = {}

    def look(
        self, now: float, positions: Mapping[Partition, int], ends: Mapping[Partition, int], *, busy: bool
    ) -> None:
        """Compare what was delivered with what there is (`ends`: the offset of the next record to be written).

        Raises:
            StalledError: names the partitions that stand still.

        """
        for partition in self._seen.keys() - positions.keys():
            del self._seen[partition]
        for partition, position in positions.items():
            if self._seen.get(partition) != position or position >= ends.get(partition, 0):
                self._seen[partition] = position
                self._moved[partition] = self._idle_since[partition] = now
            elif busy:
                self._idle_since[partition] = now
        stuck = {partition for partition in self._seen if now - self._moved[partition] > self._busy_s}
        unread = {partition for partition in self._seen if now - self._idle_since[partition] > self._idle_s}
        if stuck or unread:
            where = ", ".join(
                f"{topic}[{number}] at {positions[topic, number]} of {ends.get((topic, number), 0)}"
                for topic, number in sorted(stuck | unread)
            )
            seconds = self._idle_s if unread else self._busy_s
            raise StalledError(f"Nothing moved for {seconds:.0f} s although there is something to read: {where}.")
