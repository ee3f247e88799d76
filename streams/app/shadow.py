"""A shadow replay, put together: records go all of their way, and end in a comparison. Nothing is stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from connectors.clock import Clock, SystemClock
from connectors.timescale.ledger import PartitionKey
from connectors.timescale.store import Store
from schemas.instants import from_micros
from schemas.topics import READINGS
from streams.agents.copies import Remembered
from streams.agents.records import Record
from streams.app.ingest import MIB
from streams.app.replay_plan import ReplayError, chooser_of, opened, read, schema_of
from streams.replay.checkpoint import Checkpoint
from streams.replay.pace import Pace
from streams.replay.selection import Chooser
from streams.replay.shadow import Report, Rules, Shadow
from streams.settings import Settings

# How many records are taken at once: each may have many rows.
CHUNK: Final = 5_000
# An insight is written after its readings were accepted, by clocks that may differ so much.
CLOCKS: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a shadow replay has found: of so many records, without those that no worker has stored yet."""

    records: int
    not_yet: int
    left_out: Mapping[str, int]
    report: Report
    # Why alarms were not compared, if they were not.
    without_alarms: str | None


def compare(settings: Settings, planned: Checkpoint, who: str, on_read: Callable[[int], None]) -> Compared:
    """Compare what a replay would do with what is stored; `on_read` hears how many more records were read.

    Raises:
        ReplayError: there are no readings in that topic.
        Other errors: what reading, choosing and the database raise.

    """
    if schema_of(planned.topic) != READINGS.schema:
        raise ReplayError(f"--shadow compares readings with what is stored, and {planned.topic} has none.")
    clock = SystemClock()
    why_not = _without_alarms(settings, planned)
    with opened(settings) as store:
        stored, not_yet = _stored(store, planned)
        chooser = chooser_of(store, planned)
        store.audit(who, "replay shadow", _detail(planned))
        shadow = Shadow(
            settings.region,
            _rules(settings, clock),
            Remembered(store.known_replays),
            store.standing_rows,
            None if why_not else (settings.ingest.detection_full_mib * MIB, store.limits),
        )
        records, first = _take(settings, stored, chooser, shadow, on_read)
        if not why_not and first is not None:
            alarms = store.explained_alarms(planned.topic, stored.left, first - CLOCKS)
            waiting = store.waiting_requests([one.request_id for one in shadow.raised])
            shadow.compare_alarms([alarm for alarm in alarms if chooser.is_about(alarm.device_id)], waiting)
        on_read(not_yet)
        return Compared(records, not_yet, dict(chooser.left_out), shadow.report, why_not)


def _take(
    settings: Settings, planned: Checkpoint, chooser: Chooser, shadow: Shadow, on_read: Callable[[int], None]
) -> tuple[int, datetime | None]:
    """Take all records; give how many, and when the first of them was accepted."""
    pace = Pace(planned.rate, SystemClock())
    records, first_ms = 0, None
    for messages in read(settings, planned, on_read, most=pace.most(CHUNK)):
        chosen = chooser.chosen(messages)
        if not chosen:
            continue
        pace.wait(len(chosen))
        shadow.take(cast("list[Record]", chosen))  # what is read has all that is optional of a message
        records += len(chosen)
        first = min(message.timestamp()[1] for message in chosen)
        first_ms = first if first_ms is None else min(first_ms, first)
    return records, None if first_ms is None else from_micros(first_ms * 1000)


def _stored(store: Store, planned: Checkpoint) -> tuple[Checkpoint, int]:
    """Leave out what no worker has stored yet; give how many offsets that are."""
    until = store.stored_until(PartitionKey(planned.cluster, planned.topic, planned.topic_id, 0))
    left = {
        number: (start, max(start, min(end, until.get(number, start)))) for number, (start, end) in planned.left.items()
    }
    not_yet = sum(planned.left[number][1] - end for number, (_, end) in left.items())
    return planned.model_copy(update={"left": left}), not_yet


def _without_alarms(settings: Settings, planned: Checkpoint) -> str | None:
    if planned.topic != READINGS.name:
        return "mirrored readings are not watched here"
    if not settings.ingest.detection:
        return "detection is off"
    if planned.selection.where is not None:
        return "with --where detectors would see a part of each series"
    return None


def _rules(settings: Settings, clock: Clock) -> Rules:
    days = settings.database.retention_days
    kept_since = None if days is None else clock.now().astimezone(UTC) - timedelta(days=days)
    return Rules(settings.database.conflict_policy, kept_since)


def _detail(planned: Checkpoint) -> dict[str, object]:
    return planned.model_dump(mode="json", include={"topic", "selection", "left", "rate"})
