"""Looks from outside, all the time: committed offsets against the marks, marks against the log, counters."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import psycopg

from connectors.errors import ConnectorError
from scripts.soaks.log import Log
from streams.settings import LaneName, Settings

EVERY_S: Final = 0.4
Offsets: TypeAlias = dict[int, int]

MARKS: Final = "select partition, next_offset, snapshot_offset, epoch from sink_offsets where topic = 'readings'"
COUNTS: Final = "select device_id, value from readings where device_id = any(%s) and metric = 'count'"


@dataclass(frozen=True, slots=True)
class Mark:
    """One partition's marks."""

    next_offset: int
    snapshot_offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen, each read before the next: committed offsets, marks, ends of the log; and counters."""

    committed: Offsets
    marks: dict[int, Mark]
    ends: Offsets
    counts: dict[str, float]


@dataclass
class Findings:
    """What samples were found to break, in words."""

    samples: int = 0
    ahead: list[str] = field(default_factory=list)
    backwards: list[str] = field(default_factory=list)


class Judge:
    """Compares each sample with itself and with the one before it."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.findings = Findings()
        self._before: Sample | None = None

    def take(self, sample: Sample) -> None:
        """Look at one more sample."""
        found = self.findings
        found.samples += 1
        for partition, offset in sample.committed.items():
            mark = sample.marks.get(partition)
            if mark is None or offset > mark.next_offset or offset > mark.snapshot_offset:
                found.ahead.append(f"readings[{partition}]: {offset} is committed, the marks are {mark}")
        for partition, mark in sample.marks.items():
            if mark.next_offset > sample.ends.get(partition, mark.next_offset):
                found.ahead.append(f"readings[{partition}]: the mark {mark} is past the log's end")
        before, self._before = self._before, sample
        if before is None:
            return
        for partition, mark in before.marks.items():
            now = sample.marks.get(partition)
            if now is None or now.next_offset < mark.next_offset or now.epoch < mark.epoch:
                found.backwards.append(f"readings[{partition}]: the marks went from {mark} to {now}")
        for device, count in before.counts.items():
            if sample.counts.get(device, 0.0) < count:
                found.backwards.append(f"{device}: its count went from {count} to {sample.counts.get(device)}")


class Sampler(threading.Thread):
    """Takes samples until it is stopped; while a server is away it takes none."""

    def __init__(self, look: Callable[[], Sample], judge: Judge) -> None:
        """Take the function that takes a sample, which may raise what servers that are away make it raise."""
        super().__init__(name="sampler", daemon=True)
        self.judge = judge
        self.missed = 0
        self._stopping = threading.Event()
        self._look = look

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        """Look again and again."""
        while not self._stopping.wait(EVERY_S):
            try:
                sample = self._look()
            except (ConnectorError, psycopg.Error):
                self.missed += 1
            else:
                self.judge.take(sample)


def looking(settings: Settings, counters: Sequence[str]) -> Callable[[], Sample]:
    """Make the function that takes a sample; `counters` are the devices that count."""
    log = Log(settings.kafka.bootstrap_servers, settings.kafka.group(LaneName.INGEST))
    url = settings.database.url.get_secret_value()

    def look() -> Sample:
        committed = log.committed()
        with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
            marks = {number: Mark(*mark) for number, *mark in connection.execute(MARKS).fetchall()}
            counts: dict[str, float] = dict(connection.execute(COUNTS, [list(counters)]).fetchall())
        ends = log.ends()
        return Sample(committed, marks, ends, counts)

    return look


def until(true: Callable[[], bool], within_s: float, poll_s: float = 0.1) -> bool:
    """Wait for something to become true; say whether it did. A server that is away is not true yet."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if true():
                return True
        except (ConnectorError, psycopg.Error):
            pass
        time.sleep(poll_s)
    return False


class Still:
    """A count, and how long it has not changed."""

    def __init__(self, count: Callable[[], int]) -> None:
        """Nothing is counted yet."""
        self._count = count
        self._last = -1
        self._since = time.monotonic()

    def now(self) -> int:
        """Count."""
        count = self._count()
        if count != self._last:
            self._last, self._since = count, time.monotonic()
        return count

    @property
    def still_s(self) -> float:
        """Say how long it has been the same."""
        return time.monotonic() - self._since
