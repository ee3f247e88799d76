"""The second half of a batch's way: what was prepared goes out, through one connection to the database.

The steps are those of `streams.agents.ingest`, 4 to 8.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import numpy as np

from connectors import metrics, tracing
from connectors.clock import Clock
from connectors.kafka.producer import Outgoing, Producer
from connectors.timescale.devices import DeviceKnown
from connectors.timescale.earlier import Since
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, PartitionRows
from schemas.codec import encode
from schemas.errors import TidegateError
from schemas.instants import from_micros
from schemas.topics import ANALYSIS_REQUESTS, home_of
from streams.agents import letters
from streams.agents.partitions import Partition
from streams.agents.requests import request_for
from streams.agents.sightings import Sightings
from streams.columns.batch import Poison, RawBatch, Records, Rows
from streams.detect.detector import Alarm
from streams.detect.kinds import MISSING

log = logging.getLogger(__name__)

# Of a batch so many records are traced: nobody else's headers may make work for us.
MOST_TRACED = 100
# So many offsets and devices are named in the log.
LOGGED = 10


class OutOfOrderError(TidegateError):
    """A batch failed, so those behind it must not be stored: the mark would pass over it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch of one partition after step 3."""

    batch: RawBatch
    partition: Partition
    after: int  # the offset up to which the partition had been taken in hand before
    records: Records
    rows: Rows
    poison: Sequence[Poison]
    alarms: Sequence[Alarm]


class Storing:
    """Stores batches of the partitions that share a connection; one batch after the other."""

    def __init__(self, store: Store, producer: Producer, clock: Clock, *, region: str, elsewhere: bool = False) -> None:
        """Nothing is connected yet. The producer may be shared. `elsewhere`: other regions' rows come here, too."""
        self._elsewhere = elsewhere
        self._store = store
        self._producer = producer
        self._clock = clock
        self._region = region
        self._sightings = Sightings()

    def store(self, prepared: Sequence[Prepared]) -> None:
        """Take prepared batches, at most one of each partition, through the steps outside.

        Raises:
            FencedError: another worker owns one of the partitions; nothing of these batches was stored by this call.
            DeliveryError: Kafka did not confirm a dead letter or a request.
            OutOfOrderError: what came before these batches was not stored.

        """
        with metrics.BATCH_SECONDS.time():
            self._store_all(prepared)

    def _store_all(self, prepared: Sequence[Prepared]) -> None:
        began = self._clock.now().timestamp()
        for part in prepared:
            if part.after != part.partition.position:
                raise OutOfOrderError(f"{part.batch.topic}[{part.batch.partition}] offset {part.after}")
            self._confirm_poison(part)
        self._write(prepared)
        for part in prepared:
            self._store.see_devices(self._sightings.of(part.records, part.batch))  # step 6
        traces = self._trace(prepared, began)
        self._producer.publish(self._requests(prepared, traces))  # step 7
        for part in prepared:
            part.partition.position = part.batch.end

    def _confirm_poison(self, part: Prepared) -> None:
        """Step 4."""
        batch = part.batch
        unconfirmed = [found for found in part.poison if batch.offsets[found.position] >= part.partition.next_offset]
        if unconfirmed:
            self._log_poison(batch, unconfirmed)
            home = home_of(batch.topic)
            stage = "mirror" if home else "ingest"
            for found in unconfirmed:
                metrics.POISON.labels(stage, found.reason).inc()
            if not home:  # in the region that accepted them they have their letters
                self._producer.publish(
                    letters.of_poison(batch, unconfirmed, stage=stage, region=self._region, clock=self._clock)
                )

    @staticmethod
    def _log_poison(batch: RawBatch, poison: Sequence[Poison]) -> None:
        devices = {(batch.keys[found.position] or b"").decode(errors="replace") for found in poison}
        log.warning(
            "%d records of %s[%d] cannot be used",
            len(poison),
            batch.topic,
            batch.partition,
            extra={
                "topic": batch.topic,
                "partition": batch.partition,
                "offsets": [int(batch.offsets[found.position]) for found in poison[:LOGGED]],
                "devices": sorted(devices)[:LOGGED],
                "reasons": sorted({found.reason for found in poison}),
            },
        )

    def _write(self, prepared: Sequence[Prepared]) -> None:
        """Step 5."""
        parts = [
            PartitionRows(
                part.partition.key,
                part.partition.epoch,
                next_offset=part.batch.end,
                columns=part.rows.columns,
                offsets=part.rows.offsets,
                poison=part.batch.offsets[np.array([found.position for found in part.poison], dtype=np.int64)],
            )
            for part in prepared
            if part.batch.end > part.partition.next_offset
        ]
        if not parts:
            return
        counts = self._store.write(parts, self._confirm_conflicts)
        for outcome, count in (
            ("stored", counts.stored),
            ("duplicate", counts.duplicates),
            ("conflict", counts.conflicts),
            ("poison", counts.poison),
        ):
            metrics.RECORDS.labels(outcome).inc(count)
        for part in prepared:
            part.partition.next_offset = max(part.partition.next_offset, part.batch.end)
            self._observe(part.batch)

    def _observe(self, batch: RawBatch) -> None:
        # Copies count as accepted when their originals were: that is no delay.
        accepted = np.delete(batch.accepted, list(batch.origins)) if batch.origins else batch.accepted
        if len(accepted):
            age_s = max(0.0, self._clock.now().timestamp() - int(accepted.min()) / 1_000_000)
            home = home_of(batch.topic)
            after = metrics.MIRRORED_AFTER.labels(home) if home else metrics.STORED_AFTER
            after.observe(age_s)

    def _confirm_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        self._producer.publish(letters.of_conflicts(conflicts, region=self._region, clock=self._clock))

    def _trace(self, prepared: Sequence[Prepared], began: float) -> Mapping[tuple[str, int, int], bytes]:
        """Go on with the traces of records, and give what requests about them bear, by the record's place."""
        ended, found = self._clock.now().timestamp(), {}
        for part in prepared:
            batch = part.batch
            if not batch.traces:
                continue
            # What somebody will look for first: the records that have raised alarms.
            asked = np.searchsorted(batch.offsets, [alarm.offset for alarm in part.alarms]).tolist()
            positions = dict.fromkeys([*(one for one in asked if one in batch.traces), *batch.traces])
            for position in islice(positions, MOST_TRACED):
                offset, parent = int(batch.offsets[position]), batch.traces[position]
                header = tracing.done(
                    "ingest",
                    parent,
                    began=began,
                    ended=ended,
                    records=len(batch),
                    topic=batch.topic,
                    partition=batch.partition,
                    offset=offset,
                )
                if header is not None:
                    found[batch.topic, batch.partition, offset] = header
        return found

    def _requests(self, prepared: Sequence[Prepared], traces: Mapping[tuple[str, int, int], bytes]) -> list[Outgoing]:
        raised = [(alarm, part) for part in prepared for alarm in part.alarms]
        if self._elsewhere:
            raised = self._unheard(raised)
        if not raised:
            return []
        known = self._store.devices(sorted({alarm.device_id for alarm, _ in raised}))
        return [
            self._request(
                alarm,
                part,
                known.get(alarm.device_id, DeviceKnown()),
                traces.get((part.batch.topic, part.batch.partition, alarm.offset)),
            )
            for alarm, part in raised
        ]

    def _unheard(self, raised: list[tuple[Alarm, Prepared]]) -> list[tuple[Alarm, Prepared]]:
        """Leave out who is silent here because they went on to speak in another region."""
        missing = {place: pair for place, pair in enumerate(raised) if pair[0].kind == MISSING}
        if not missing:
            return raised
        asked = [
            Since(alarm.device_id, alarm.metric, alarm.samples[-1].ts, self._accepted(alarm, part))
            for alarm, part in missing.values()
        ]
        spoke = self._store.spoke_since(asked)
        moved = {place for place, heard in zip(missing, spoke, strict=True) if heard}
        return [pair for place, pair in enumerate(raised) if place not in moved]

    @staticmethod
    def _accepted(alarm: Alarm, part: Prepared) -> datetime:
        position = int(np.searchsorted(part.batch.offsets, alarm.offset))
        return from_micros(int(part.batch.accepted[position]))

    def _request(self, alarm: Alarm, part: Prepared, device: DeviceKnown, trace: bytes | None) -> Outgoing:
        request = request_for(
            alarm,
            device,
            region=self._region,
            topic=part.batch.topic,
            partition=part.batch.partition,
            accepted=self._accepted(alarm, part),
        )
        headers = {} if trace is None else {tracing.HEADER: trace}
        return Outgoing(ANALYSIS_REQUESTS.name, alarm.device_id.encode(), encode(request), headers)
