"""A batch of `readings`, all of its way: decoded, checked, stored exactly once, watched, and asked about if unusual.

The steps of a batch, in the order that keeps every promise when the process dies between any two of them. First, in
memory alone (`prepare`):
1. drop what was taken already (a batch may be delivered again), and take copies for what they are copies of;
2. decode and check;
3. let the detectors see the rows, in the order of the log.
Then, with the world outside (`store`):
4. what cannot be used is confirmed in `dead-letters`, unless the mark says that it was;
5. store the rows of all partitions and move their marks, in one transaction (conflicts are confirmed in
   `dead-letters` inside it, before it commits);
6. write down devices that are new;
7. confirm the requests for analysis in `analysis-requests`;
8. only then move the position: a snapshot covers what is before it.
The next batch may be prepared while one is stored, and batches of different partitions may be stored at once, each
through a connection of its own; what happens to one partition happens in the order of the log. A snapshot is written
when nothing is in between, so what the detectors have seen is what was stored; after a crash the log is read from there
again, and marks and ids that are a function of the log see to it that nothing is stored or asked twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from connectors.clock import Clock
from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from connectors.timescale.ledger import PartitionKey
from connectors.timescale.store import Store
from schemas.topics import home_of
from streams.agents import limits
from streams.agents.copies import Known, credited, nobody
from streams.agents.partitions import Partition
from streams.agents.poison_limit import POISON_LIMIT, PoisonLimit, PoisonLimitError
from streams.agents.storing import Prepared, Storing
from streams.columns.batch import Poison, RawBatch
from streams.columns.decode import decode
from streams.columns.flatten import flatten
from streams.columns.validate import validate
from streams.detect.detector import DETECTOR, Detector, Earlier
from streams.detect.state import SeriesTable

# What a snapshot says while detection is off: state from before must not be taken for one that saw these readings.
NO_DETECTOR = "none"

TopicPartition = tuple[str, int]
# Takes what has happened, and the facts of it.
Alarm = Callable[[str, Mapping[str, object]], None]


@dataclass(frozen=True, slots=True)
class Outside:
    """What the ingest agent reaches of the outside world."""

    stores: Sequence[Store]  # connections: the partitions are shared out among them
    producer: Producer
    admin: Admin
    clock: Clock
    # Which replays there were, and where it is written down that the worker stops; on the thread that prepares.
    known_replays: Known = nobody
    alarm: Alarm = lambda _action, _detail: None
    # What the rows say of series that the detectors do not know: where other regions' rows come here, too. On the
    # thread that prepares.
    earlier: Earlier | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """Whether readings are watched, and how many bytes the full tier may have in each partition.

    And what share of the recent records may be poison (`streams.agents.poison_limit`).
    """

    on: bool = True
    full_bytes: int = 0
    poison_share: float = 0.5


class Ingest:
    """Everything that the ingest agent does with batches; synchronous.

    `prepare` may run on a thread of its own, and so may `store` for each connection, one call at a time each;
    everything else is for moments when none of them runs.
    """

    def __init__(self, outside: Outside, *, region: str, owner: str, detection: Detection) -> None:
        """`owner` names this worker in the marks, for people who look there."""
        self._outside = outside
        self._owner = owner
        self._detection = detection
        self._detector = DETECTOR if detection.on else NO_DETECTOR
        self._partitions: dict[TopicPartition, Partition] = {}
        self._limit = PoisonLimit(detection.poison_share)
        self._store = outside.stores[0]
        elsewhere = outside.earlier is not None
        self._storings = [
            Storing(store, outside.producer, outside.clock, region=region, elsewhere=elsewhere)
            for store in outside.stores
        ]

    # -- ownership -----------------------------------------------------------------------------------------------------

    def take_over(self, wanted: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Become the owner of these partitions and of no others; give the offset to read each from.

        Raises:
            LogChangedError: the log is not the one that the marks speak of.

        """
        self._partitions.clear()
        wanted = sorted(wanted)
        if not wanted:
            return {}
        cluster = self._outside.admin.cluster_id()
        topics = self._outside.admin.topics({topic for topic, _ in wanted})
        bounds = self._outside.admin.bounds(wanted)
        for index, (topic, number) in enumerate(wanted):
            key = PartitionKey(cluster, topic, topics[topic].id, number)
            bound = bounds[topic, number]
            marks = self._store.claim(key, owner=self._owner, log_start=bound.start, log_end=bound.end)
            blocks = self._store.load_snapshot(key, self._detector)
            start = min(marks.snapshot_offset, marks.next_offset)
            self._partitions[topic, number] = Partition(
                key,
                epoch=marks.epoch,
                next_offset=marks.next_offset,
                position=start,
                taken=start,
                detector=Detector(SeriesTable.restore(blocks, self._detection.full_bytes)),
                snapshot_offset=start,
                connection=index % len(self._storings),
            )
        return self.positions()

    def positions(self) -> Mapping[TopicPartition, int]:
        """Give the first record of each partition of ours that did not go through all steps."""
        return {name: partition.position for name, partition in self._partitions.items()}

    # -- batches -------------------------------------------------------------------------------------------------------

    def prepare(self, batches: Sequence[RawBatch]) -> list[Prepared]:
        """Take batches, at most one of each partition, through the steps in memory.

        Raises:
            PoisonLimitError: most of what many devices send is poison.

        """
        return [self._prepare(fresh, partition) for fresh, partition in self._fresh(batches)]

    def _fresh(self, batches: Sequence[RawBatch]) -> Iterable[tuple[RawBatch, Partition]]:
        """Step 1."""
        for batch in batches:
            partition = self._partitions.get((batch.topic, batch.partition))
            if partition is None:  # it went to another worker while the batch waited
                continue
            first = int(np.searchsorted(batch.offsets, partition.taken))
            if first < len(batch):
                yield credited(batch.since(first), self._outside.known_replays), partition

    def _prepare(self, batch: RawBatch, partition: Partition) -> Prepared:
        """Take steps 2 and 3."""
        decoded, undecodable = decode(batch)
        records, invalid = validate(decoded, batch)
        poison = sorted(undecodable + invalid, key=lambda found: found.position)
        self._check(batch, poison)
        rows = flatten(records, batch)
        alarms = (
            partition.detector.take(rows.columns, rows.offsets, self._outside.earlier) if self._detection.on else []
        )
        after, partition.taken = partition.taken, batch.end
        return Prepared(batch, partition, after, records, rows, poison, alarms)

    def _check(self, batch: RawBatch, poison: Sequence[Poison]) -> None:
        if home_of(batch.topic):  # what is wrong there stops the workers there
            return
        try:
            self._limit.check(batch, poison)
        except PoisonLimitError as error:
            self._outside.alarm(POISON_LIMIT, error.detail)
            raise

    def store(self, prepared: Sequence[Prepared]) -> None:
        """Take prepared batches, all of one connection and at most one of each partition, through the steps outside.

        Raises: what `Storing.store` raises.

        """
        if prepared:
            self._storings[prepared[0].partition.connection].store(prepared)

    def upkeep(self) -> None:
        """Let the database prepare for the days to come, and look at all limits; to be called every hour or so."""
        self._store.keep_up(self._outside.clock.now())
        for partition in self._partitions.values():
            partition.limited = 0

    # -- snapshots -----------------------------------------------------------------------------------------------------

    @property
    def unsaved(self) -> bool:
        """Say whether a snapshot would have anything to write."""
        return any(partition.unsaved for partition in self._partitions.values())

    def snapshot(self) -> Mapping[TopicPartition, int]:
        """Write what the detectors have seen since the last snapshot; give the offsets that are now covered."""
        covered = {}
        for name, partition in self._partitions.items():
            if self._detection.on:
                # Their devices are written down by now.
                partition.limited = limits.learn(partition.detector.table, partition.limited, self._store.limits)
            if not partition.unsaved or partition.taken != partition.position:  # the latter after a failure only
                continue
            table = partition.detector.table
            self._store.save_snapshot(
                partition.key,
                partition.epoch,
                offset=partition.position,
                detector=self._detector,
                blocks=table.changed_blocks(),
            )
            table.saved()
            partition.snapshot_offset = covered[name] = partition.position
        return covered


def merge(batches: Sequence[RawBatch]) -> list[RawBatch]:
    """Join batches of the same partition, in the order in which they came."""
    by_partition: dict[TopicPartition, list[RawBatch]] = {}
    for batch in batches:
        by_partition.setdefault((batch.topic, batch.partition), []).append(batch)
    return [group[0] if len(group) == 1 else _join(group) for group in by_partition.values()]


def _join(group: Sequence[RawBatch]) -> RawBatch:
    starts = list(accumulate(map(len, group), initial=0))
    return replace(
        group[0],
        offsets=np.concatenate([batch.offsets for batch in group]),
        accepted=np.concatenate([batch.accepted for batch in group]),
        keys=[key for batch in group for key in batch.keys],
        values=[value for batch in group for value in batch.values],
        origins={
            start + position: origin
            for start, batch in zip(starts, group, strict=False)
            for position, origin in batch.origins.items()
        },
        traces={
            start + position: trace
            for start, batch in zip(starts, group, strict=False)
            for position, trace in batch.traces.items()
        },
    )
