"""When an alarm is raised, by what, and what it says."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.fields import Direction, Severity
from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Alarm, Detector, Earlier, Newcomer
from streams.detect.layout import RECENT
from streams.detect.light import PROBATION, REFRACTORY

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


def take(
    detector: Detector,
    values: Sequence[float],
    ts: Sequence[int] | None = None,
    *,
    device: str = "pump",
    first: int = 0,
    earlier: Earlier | None = None,
) -> list[Alarm]:
    count = len(values)
    ts = ts if ts is not None else [(first + at) * SECOND for at in range(count)]
    rows = pa.RecordBatch.from_arrays(
        [
            pa.array(ts, pa.timestamp("us", "UTC")),
            pa.array([device] * count, pa.string()),
            pa.array(["t"] * count, pa.string()),
            pa.array(values, pa.float64()),
            pa.array([0] * count, pa.timestamp("us", "UTC")),
        ],
        schema=ROW_SCHEMA,
    )
    return detector.take(rows, np.arange(first, first + count, dtype=np.int64), earlier)


def noise(count: int, *, seed: int = 1) -> list[float]:
    values: list[float] = np.random.default_rng(seed).normal(20.0, 0.5, count).tolist()
    return values


def long_known() -> Detector:
    """A detector that has seen a series for so long that its first readings no longer count."""
    detector = Detector()
    take(detector, [20.0] * RECENT, first=1000 - RECENT)
    row = detector.table.rows[0]
    for name, value in {"seen": 160_000, "level": 20.0, "slow": 20.0, "spread": 0.5}.items():
        row[name] = value
    row["deviation"] = (1.0, 1.0, 0.01)
    return detector


def state(detector: Detector) -> bytes:
    return detector.table.rows.tobytes()


def test_quiet_noise_raises_nothing() -> None:
    assert take(Detector(), noise(5000)) == []


@pytest.mark.parametrize(
    ("to", "direction"),
    [(60.0, Direction.UP), (-60.0, Direction.DOWN), (1e308, Direction.UP), (-1e308, Direction.DOWN)],
)
def test_a_jump_is_one_alarm_that_says_what_was_seen(to: float, direction: Direction) -> None:
    detector = long_known()

    (alarm,) = take(detector, [to] * 20, first=1000)

    assert (alarm.device_id, alarm.metric, alarm.kind, alarm.direction) == ("pump", "t", "deviation", direction)
    assert alarm.severity is Severity.CRITICAL
    assert 0.5 <= alarm.score <= 1.0
    assert alarm.value == to
    assert (alarm.baseline, alarm.spread) == (20.0, 0.5), "as it was before the jump"
    assert len(alarm.samples) == RECENT
    assert alarm.samples[-1].value == to
    assert [sample.ts for sample in alarm.samples] == sorted(sample.ts for sample in alarm.samples)
    assert alarm.samples[-1].ts == EPOCH + timedelta(seconds=alarm.last_offset)
    assert alarm.first_offset == alarm.last_offset - RECENT + 1


@pytest.mark.parametrize("constant", [0.0, 0.1, -273.15, 1e308, 5e-324])
def test_a_constant_series_then_a_jump(constant: float) -> None:
    detector = Detector()
    assert take(detector, [constant] * 1000) == []

    (alarm,) = take(detector, [constant + 1.0 if constant < 1e300 else 0.0] * 3, first=1000)

    assert alarm.last_offset == 1000, "the first reading that is different raises it"
    assert alarm.baseline == pytest.approx(min(constant, 1e150))
    assert alarm.spread == 0.0
    assert alarm.severity is Severity.CRITICAL


def test_a_spike_in_a_constant_series_is_what_the_alarm_is_about() -> None:
    detector = Detector()

    (alarm,) = take(detector, [5.0] * 500 + [9.0] + [5.0] * 50)

    assert (alarm.last_offset, alarm.value, alarm.direction) == (500, 9.0, Direction.UP)


def test_nothing_is_raised_before_a_series_is_known() -> None:
    assert take(Detector(), [20.0] * (PROBATION - 1) + [100.0]) == []
    assert len(take(Detector(), [20.0] * PROBATION + [100.0])) == 1


def test_one_event_is_one_alarm_and_the_next_event_another() -> None:
    detector = Detector()
    take(detector, noise(1000))

    assert len(take(detector, [60.0, 20.0, -60.0, 20.0, 60.0], first=1000)) == 1
    assert take(detector, noise(REFRACTORY * 3, seed=2), first=1005) == []
    assert len(take(detector, [90.0] * 5, first=1005 + REFRACTORY * 3)) == 1


def test_an_event_that_goes_on_is_still_one_alarm() -> None:
    ramp = [20.0 * 3.0**step for step in range(1, REFRACTORY + 6)]

    assert len(take(long_known(), ramp, first=1000)) == 1


def test_alarms_come_in_the_order_of_the_log() -> None:
    detector = Detector()
    for device in ("pump", "fan"):
        take(detector, [20.0] * 500, device=device)
    rows = [("pump", 20.0), ("pump", 90.0), ("fan", 90.0)]

    alarms = detector.take(
        pa.RecordBatch.from_arrays(
            [
                pa.array([(600 + at) * SECOND for at in range(3)], pa.timestamp("us", "UTC")),
                pa.array([device for device, _ in rows], pa.string()),
                pa.array(["t"] * 3, pa.string()),
                pa.array([value for _, value in rows], pa.float64()),
                pa.array([0] * 3, pa.timestamp("us", "UTC")),
            ],
            schema=ROW_SCHEMA,
        ),
        np.arange(600, 603, dtype=np.int64),
    )

    assert [(alarm.device_id, alarm.last_offset) for alarm in alarms] == [("pump", 601), ("fan", 602)]


@pytest.mark.parametrize("ts", [999 * SECOND, 998 * SECOND, 0, -(10**15)])
def test_a_reading_that_is_not_later_than_the_last_one_is_not_detected(ts: int) -> None:
    detector = Detector()
    take(detector, noise(1000))
    before = state(detector)

    assert take(detector, [1e6] * 3, [ts] * 3, first=1000) == []
    assert state(detector) == before


def test_late_readings_inside_a_batch_change_nothing() -> None:
    values, ts = [20.0, 21.0, 99.0, 22.0], [1, 2, 2, 3]
    one, other = Detector(), Detector()

    take(one, values, ts)
    take(other, [20.0, 21.0, 22.0], [1, 2, 3])

    for table in (one.table, other.table):
        table.rows["recent"]["offset"] = 0  # where the readings stand in the log differs
    assert one.table.rows.tobytes() == other.table.rows.tobytes()


def test_one_device_says_nothing_about_another() -> None:
    detector = Detector()
    take(detector, noise(1000), device="pump")
    before = detector.table.rows[0].tobytes()

    take(detector, [1e9] * 10, device="fan")

    assert detector.table.rows[0].tobytes() == before
    assert [detector.table.name(index) for index in range(len(detector.table))] == [("pump", "t"), ("fan", "t")]


@pytest.mark.parametrize(
    ("distance", "severity"), [(5.9, Severity.INFO), (6.1, Severity.WARNING), (12.1, Severity.CRITICAL)]
)
def test_severity_grows_with_the_distance(distance: float, severity: Severity) -> None:
    detector = long_known()

    (alarm,) = take(detector, [20.0 + distance * 0.5], first=1000)

    assert alarm.severity is severity


def test_an_empty_batch() -> None:
    assert take(Detector(), []) == []


def limited(low: float, high: float) -> Detector:
    detector = Detector()
    detector.table.limit(detector.table.index(("pump", "t")), low, high)
    return detector


def test_a_value_that_leaves_the_range_of_its_class_is_an_alarm_at_once() -> None:
    (alarm,) = take(limited(0.0, 30.0), [20.0, 30.0, 30.1, 31.0, 20.0])

    assert (alarm.kind, alarm.value, alarm.last_offset, alarm.score) == ("range", 30.1, 2, 0.5)
    assert alarm.direction is Direction.UP


def test_the_first_reading_may_be_outside_already() -> None:
    assert [alarm.kind for alarm in take(limited(-np.inf, 30.0), [31.0])] == ["range"]


def test_what_stays_outside_or_comes_back_is_no_new_alarm_until_later() -> None:
    detector = limited(0.0, np.inf)
    assert len(take(detector, [20.0, -1.0, -2.0, 20.0, -1.0])) == 1
    assert take(detector, [20.0 + at % 3 for at in range(REFRACTORY + 1)], first=5) == []
    assert [alarm.kind for alarm in take(detector, [-1.0], first=6 + REFRACTORY)] == ["range"]


def test_limits_that_are_taken_away_limit_nothing() -> None:
    detector = limited(0.0, 30.0)
    detector.table.limit(0, -np.inf, np.inf)
    assert take(detector, [20.0, 1e300]) == []


def test_a_newcomer_is_watched_from_its_first_reading_on_by_what_it_has_said_elsewhere() -> None:
    asked: list[Newcomer] = []
    values = noise(PROBATION + 100)

    def earlier(newcomers: Sequence[Newcomer]) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        asked.extend(newcomers)
        ts = np.arange(len(values), dtype=np.int64) * SECOND
        return [(ts, np.array(values)) for _ in newcomers]

    detector, first = Detector(), 1_000
    assert take(detector, [20.0], first=first, earlier=earlier) == []
    assert asked == [Newcomer("pump", "t", first * SECOND, 0)]
    (alarm,) = take(detector, [60.0] * 5, first=first + 1, earlier=earlier)
    assert len(asked) == 1  # nobody is asked about twice
    assert alarm.kind == "spike" or alarm.direction is Direction.UP
    assert alarm.first_offset == first  # the first record of this log, whatever came before it elsewhere
    # The same as if it had said all of it here.
    here = Detector()
    take(here, values)
    take(here, [20.0], first=first)
    names = ("seen", "level", "slow", "spread", "last_ts")
    moved = Detector()
    take(moved, [20.0], first=first, earlier=earlier)
    assert all(moved.table.rows[0][name] == here.table.rows[0][name] for name in names)


def test_a_newcomer_that_nobody_knows_is_as_new_as_ever() -> None:
    nothing = (np.empty(0, np.int64), np.empty(0))
    known, new = Detector(), Detector()
    take(known, noise(50), earlier=lambda asked: [nothing for _ in asked])
    take(new, noise(50))
    assert state(known) == state(new)
