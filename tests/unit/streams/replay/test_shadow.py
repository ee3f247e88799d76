"""What comes of records today, beside what is stored."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from connectors.timescale.comparing import ExplainedAlarm, Standing
from connectors.timescale.devices import Limits
from connectors.timescale.settings import ConflictPolicy
from schemas.codec import encode
from schemas.fields import Severity
from schemas.models import Reading
from streams.agents.copies import nobody
from streams.replay.shadow import MOST_EXAMPLES, Rules, Shadow
from tests.fakes.records import FakeRecord

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_US = int(START.timestamp() * 1_000_000)
SECOND = timedelta(seconds=1)

# What is stored: value and acceptance, in seconds after the start, by device and second.
Stored = Mapping[tuple[str, int], tuple[float, int]]


def record(offset: int, value: float, second: int | None = None, device: str = "pump-1") -> FakeRecord:
    at = offset if second is None else second
    reading = Reading(device_id=device, ts=START + at * SECOND, metrics={"pressure": value})
    return FakeRecord(offset, START_US // 1000 + 1000 * offset, device.encode(), encode(reading))


def shadow(
    stored: Stored,
    policy: ConflictPolicy = ConflictPolicy.FIRST,
    kept_since: datetime | None = None,
    limits: Limits | None = None,
) -> Shadow:
    def look_up(columns: pa.RecordBatch) -> Standing:
        seconds = (np.asarray(columns.column("ts").cast(pa.int64())) - START_US) // 1_000_000
        keys = zip(columns.column("device_id").to_pylist(), seconds.tolist(), strict=True)
        found = [stored.get(key, (np.nan, 0)) for key in keys]
        accepted = np.array([START_US + 1_000_000 * when for _, when in found], dtype=np.int64)
        return Standing(np.array([value for value, _ in found]), accepted)

    def allowed(devices: Sequence[str]) -> Mapping[str, Mapping[str, Limits]]:
        return {} if limits is None else {device: {"pressure": limits} for device in devices}

    return Shadow("", Rules(policy, kept_since), nobody, look_up, (0, allowed))


@pytest.mark.parametrize(
    ("stands", "policy", "what"),
    [
        (None, ConflictPolicy.FIRST, "missing"),
        ((5.0, 3), ConflictPolicy.FIRST, "same"),
        ((5.0, 9), ConflictPolicy.FIRST, "same"),
        ((6.0, 2), ConflictPolicy.FIRST, "lost"),
        ((6.0, 4), ConflictPolicy.FIRST, "other"),
        ((6.0, 2), ConflictPolicy.LAST, "other"),
        ((6.0, 4), ConflictPolicy.LAST, "lost"),
        # Accepted in the same instant: the value decides.
        ((6.0, 3), ConflictPolicy.FIRST, "other"),
        ((4.0, 3), ConflictPolicy.FIRST, "lost"),
        ((6.0, 3), ConflictPolicy.LAST, "lost"),
        ((4.0, 3), ConflictPolicy.LAST, "other"),
    ],
)
def test_a_row_is_stored_as_the_rule_for_conflicts_has_it(
    stands: tuple[float, int] | None, policy: ConflictPolicy, what: str
) -> None:
    one = shadow({} if stands is None else {("pump-1", 3): stands}, policy)
    one.take([record(3, 5.0)])
    assert +one.report.rows == {what: 1}
    assert one.report.is_right is (what in {"same", "lost"})
    shown = [(example.what, example.offset, example.said, example.stored) for example in one.report.examples]
    assert shown == ([] if one.report.is_right else [(what, 3, 5.0, None if stands is None else stands[0])])


def test_what_is_too_old_to_be_kept_is_not_missing() -> None:
    one = shadow({}, kept_since=START + 2 * SECOND)
    one.take([record(second, 5.0) for second in range(4)])
    assert +one.report.rows == {"expired": 2, "missing": 2}


def test_records_that_cannot_be_used_are_counted_and_examples_are_few() -> None:
    one = shadow({})
    one.take([FakeRecord(0), *(record(offset, 5.0) for offset in range(1, 20))])
    assert one.report.poison == {"framing": 1}
    assert +one.report.rows == {"missing": 19}
    assert [example.offset for example in one.report.examples] == list(range(1, MOST_EXAMPLES + 1))


def leap() -> list[FakeRecord]:
    """Give readings whose last one stands out."""
    return [record(second, 5.0 + second % 7 / 10) for second in range(300)] + [record(300, 90.0)]


def explained(one: Shadow, **change: object) -> ExplainedAlarm:
    (raised,) = one.raised
    first, last = raised.alarm.samples[0].ts, raised.alarm.samples[-1].ts
    fields = {"id": raised.insight_id, "device_id": "pump-1", "metric": "pressure", "kind": raised.alarm.kind}
    return ExplainedAlarm(**(fields | {"window_start": first, "window_end": last} | change))  # type: ignore[arg-type]


def test_an_alarm_is_the_same_by_its_id_or_by_what_it_is_about() -> None:
    def compared(**change: object) -> dict[str, int]:
        one = shadow({})
        # However the log is cut.
        records = leap()
        one.take(records[:100])
        one.take(records[100:])
        waits = [one.raised[0].request_id] if change.get("waits") else []
        one.compare_alarms([] if "waits" in change else [explained(one, **change)], waits)
        return dict(+one.report.alarms)

    assert compared() == {"again": 1}
    assert compared(id="another") == {"again": 1}
    assert compared(id="another", window_start=START + 299 * SECOND, window_end=START + 400 * SECOND) == {"again": 1}
    late = {"window_start": START + 301 * SECOND, "window_end": START + 400 * SECOND}
    assert compared(id="another", **late) == {"new": 1, "gone": 1}
    assert compared(id="another", metric="flow") == {"new": 1, "gone": 1}
    assert compared(waits=False) == {"new": 1}
    assert compared(waits=True) == {"waiting": 1}


def test_what_classes_allow_is_watched_and_each_partition_has_detectors_of_its_own() -> None:
    one = shadow({}, limits=Limits(low=0.0, high=5.5))
    one.take([record(second, 5.0) for second in range(3)])
    one.take([record(3, 6.0)])
    assert [raised.alarm.severity for raised in one.raised] == [Severity.CRITICAL]
    both = shadow({})
    other = [FakeRecord(one.at, one.time, one.the_key, one.the_value, of_partition=1) for one in leap()]
    mixed = [record for pair in zip(leap(), other, strict=True) for record in pair]
    both.take(mixed)
    assert [raised.partition for raised in both.raised] == [1, 3]
