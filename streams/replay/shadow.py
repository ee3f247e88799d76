"""What the log says today, beside what is stored: rows by their values, alarms by what they are about.

Records go the way that the ingest agent takes them (decode, check, flatten, detect) and end here. Detectors begin anew,
so the first readings of a series raise fewer alarms than they did.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from connectors.timescale.comparing import ExplainedAlarm, Standing
from connectors.timescale.devices import DeviceKnown
from connectors.timescale.settings import ConflictPolicy
from schemas.instants import from_micros, to_micros
from streams.agents.copies import Known, credited
from streams.agents.limits import Find, learn
from streams.agents.records import Record, raw_batch
from streams.agents.requests import request_for
from streams.columns.batch import Rows
from streams.columns.decode import decode
from streams.columns.flatten import flatten
from streams.columns.validate import validate
from streams.detect.detector import Alarm, Detector
from streams.detect.state import SeriesTable
from streams.prompts.insight import insight_id

# What becomes of a row.
SAME: Final = "same"
LOST: Final = "lost"  # another value stands, as the rule for conflicts has it
OTHER: Final = "other"  # another value stands, though this one should
MISSING: Final = "missing"
EXPIRED: Final = "expired"  # not stored, and older than what is kept
# What becomes of an alarm.
AGAIN: Final = "again"
WAITING: Final = "waiting"  # asked about, not answered yet
NEW: Final = "new"
GONE: Final = "gone"
# So many of each kind are shown.
MOST_EXAMPLES: Final = 5


class Example(NamedTuple):
    """One row or alarm that is not as it is stored; `said` and `stored` are values of rows."""

    what: str
    device: str
    metric: str
    ts: datetime
    partition: int | None = None
    offset: int | None = None
    said: float | None = None
    stored: float | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm, and the ids that its request and its insight have."""

    alarm: Alarm
    partition: int
    request_id: str
    insight_id: str


@dataclass(slots=True)
class Report:
    """What was found so far."""

    rows: Counter[str] = field(default_factory=Counter)
    poison: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether each row stands as it should. Of alarms that cannot be said."""
        return not self.rows[MISSING] and not self.rows[OTHER]

    def show(self, example: Example) -> None:
        """Keep an example, unless there are enough of its kind."""
        if sum(one.what == example.what for one in self.examples) < MOST_EXAMPLES:
            self.examples.append(example)


@dataclass(frozen=True, slots=True)
class Rules:
    """Which of two values stands, and before when nothing is kept."""

    policy: ConflictPolicy
    kept_since: datetime | None = None


class Watch:
    """Detectors of one partition that begin anew."""

    def __init__(self, full_bytes: int) -> None:
        self.detector = Detector(SeriesTable(full_bytes))
        self.limited = 0


class Shadow:
    """Takes records, and compares what comes of them with what is stored."""

    def __init__(
        self,
        region: str,
        rules: Rules,
        known_replays: Known,
        look_up: Callable[[pa.RecordBatch], Standing],
        watch: tuple[int, Find] | None,
    ) -> None:
        """`look_up` gives what is stored under the keys of rows.

        `watch` is how many bytes the full tier may have in each partition, and who knows what classes of devices allow;
        None: no detectors.
        """
        self._region = region
        self._rules = rules
        self._known = known_replays
        self._look_up = look_up
        self._watch = watch
        self._watches: dict[int, Watch] = {}
        self.report = Report()
        self.raised: list[Raised] = []

    def take(self, records: Sequence[Record]) -> None:
        """Take records, those of each partition in order.

        Raises: what those raise who look up.
        """
        by_partition: dict[int, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[record.partition()].append(record)
        for number, theirs in sorted(by_partition.items()):
            self._take(number, theirs)

    def _take(self, number: int, records: Sequence[Record]) -> None:
        batch = credited(raw_batch(records), self._known)
        decoded, undecodable = decode(batch)
        good, invalid = validate(decoded, batch)
        self.report.poison.update(found.reason for found in undecodable + invalid)
        rows = flatten(good, batch)
        self._compare(number, rows)
        if self._watch is not None:
            full_bytes, find = self._watch
            watch = self._watches.setdefault(number, Watch(full_bytes))
            alarms = watch.detector.take(rows.columns, rows.offsets)
            self.raised += [self._raised(alarm, batch.topic, number) for alarm in alarms]
            watch.limited = learn(watch.detector.table, watch.limited, find)

    def _raised(self, alarm: Alarm, topic: str, number: int) -> Raised:
        # Only what the ids are made of matters.
        accepted = alarm.samples[-1].ts
        request = request_for(
            alarm, DeviceKnown(), region=self._region, topic=topic, partition=number, accepted=accepted
        )
        return Raised(alarm, number, request.id, insight_id(request))

    def _compare(self, number: int, rows: Rows) -> None:
        if not len(rows):
            return
        columns = rows.columns
        standing = self._look_up(columns)
        said = np.asarray(columns.column("value"), dtype=np.float64)
        ts, accepted = (np.asarray(columns.column(name).cast(pa.int64())) for name in ("ts", "accepted"))
        missing = np.isnan(standing.values)
        differs = ~missing & (standing.values != said)
        first = (standing.accepted < accepted) | ((standing.accepted == accepted) & (standing.values < said))
        lost = differs & (first if self._rules.policy is ConflictPolicy.FIRST else ~first)
        since = self._rules.kept_since
        expired = missing & (ts < to_micros(since)) if since is not None else np.zeros_like(missing)
        outcomes = {LOST: lost, OTHER: differs & ~lost, EXPIRED: expired, MISSING: missing & ~expired}
        counts = {what: int(mask.sum()) for what, mask in outcomes.items()}
        self.report.rows.update({SAME: len(rows) - sum(counts.values())} | counts)
        for what in (OTHER, MISSING):
            for place in np.flatnonzero(outcomes[what])[:MOST_EXAMPLES].tolist():
                stored = None if what is MISSING else float(standing.values[place])
                device, metric = (str(columns.column(name)[place]) for name in ("device_id", "metric"))
                offset = int(rows.offsets[place])
                when = from_micros(int(ts[place]))
                self.report.show(Example(what, device, metric, when, number, offset, float(said[place]), stored))

    def compare_alarms(self, stored: Iterable[ExplainedAlarm], waiting: Iterable[str]) -> None:
        """Compare all alarms that were raised with the insights about alarms, and the requests that wait.

        An alarm is the same if its insight has the same id, or else if it is about the same device, metric and kind in
        an overlapping window.
        """
        left = {one.id: one for one in stored}
        waits = set(waiting)
        counts, others = self.report.alarms, []
        for one in self.raised:
            if left.pop(one.insight_id, None) is not None:
                counts[AGAIN] += 1
            elif one.request_id in waits:
                counts[WAITING] += 1
            else:
                others.append(one)
        events: dict[tuple[str, str, str], list[ExplainedAlarm]] = defaultdict(list)
        for explained in left.values():
            events[explained.device_id, explained.metric, explained.kind].append(explained)
        for one in others:
            alarm = one.alarm
            alike = events[alarm.device_id, alarm.metric, alarm.kind]
            same = next((explained for explained in alike if _overlap(alarm, explained)), None)
            if same is not None:
                alike.remove(same)
                counts[AGAIN] += 1
                continue
            counts[NEW] += 1
            ended, offset = alarm.samples[-1].ts, alarm.last_offset
            self.report.show(Example(NEW, alarm.device_id, alarm.metric, ended, one.partition, offset, kind=alarm.kind))
        gone = sorted((one for alike in events.values() for one in alike), key=lambda one: one.window_end)
        counts[GONE] += len(gone)
        for found in gone[:MOST_EXAMPLES]:
            self.report.show(Example(GONE, found.device_id, found.metric, found.window_end, kind=found.kind))


def _overlap(raised: Alarm, stored: ExplainedAlarm) -> bool:
    return raised.samples[0].ts <= stored.window_end and stored.window_start <= raised.samples[-1].ts
