"""The clock of the log, and who has fallen silent by it."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from schemas.fields import Direction, Severity
from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Alarm, Detector
from streams.detect.kinds import MISSING
from streams.detect.silence import PROBATION, SILENT_TICKS, TICK_US, LogClock


class Log:
    """Says something of devices at moments of the log, and keeps the alarms."""

    def __init__(self) -> None:
        self.detector = Detector()
        self.alarms: list[Alarm] = []
        self.offset = 0

    def say(self, accepted: int, *devices: str, metric: str = "t") -> None:
        count = len(devices)
        instants = pa.array([accepted] * count, pa.timestamp("us", "UTC"))
        ts = pa.array([self.offset + at for at in range(count)], pa.timestamp("us", "UTC"))
        values = pa.array([float((self.offset + at) % 5) for at in range(count)])
        rows = pa.RecordBatch.from_arrays(
            [ts, pa.array(devices, pa.string()), pa.array([metric] * count, pa.string()), values, instants],
            schema=ROW_SCHEMA,
        )
        self.alarms += self.detector.take(rows, np.arange(self.offset, self.offset + count, dtype=np.int64))
        self.offset += count

    def go_on(self, first_tick: int, ticks: int, *devices: str) -> None:
        for tick in range(first_tick, first_tick + ticks):
            self.say(tick * TICK_US, *devices)


def known() -> Log:
    log = Log()
    log.go_on(0, PROBATION, "pump", "fan")
    assert log.alarms == []
    return log


def test_the_clock_ticks_with_the_first_record_of_each_ten_seconds() -> None:
    clock = LogClock()
    accepted = np.array([5, 9_999_999, 10_000_000, 3, 10_000_001, 95_000_000, 20_000_000], dtype=np.int64)
    assert clock.ticks(accepted) == [0, 2, 5]
    for position in clock.ticks(accepted):
        clock.move(int(accepted[position]))
    assert (clock.heard, clock.tick) == (3, 9)
    assert clock.ticks(accepted) == []


def test_a_device_that_stops_is_reported_once_while_others_go_on() -> None:
    log = known()

    log.go_on(PROBATION, 50, "fan")

    (alarm,) = log.alarms
    assert (alarm.device_id, alarm.kind, alarm.direction, alarm.severity) == (
        "pump",
        MISSING,
        Direction.NONE,
        Severity.WARNING,
    )
    assert 0.5 <= alarm.score < 1.0
    assert alarm.last_offset < alarm.offset
    assert alarm.offset == 2 * PROBATION + SILENT_TICKS, "the record with which it was noticed"


def test_when_nobody_is_heard_nobody_is_silent() -> None:
    log = known()

    for hours in (1, 2, 30):
        log.say((PROBATION + hours * 360) * TICK_US, "fan", "pump")

    assert log.alarms == []


def test_who_speaks_rarely_is_given_more_time() -> None:
    log = Log()
    for tick in range(PROBATION * 4):
        log.say(tick * TICK_US, "fan", *(["pump"] if tick % 4 == 0 else []))
    start = PROBATION * 4

    log.go_on(start, 3 * 4 - 4, "fan")
    assert log.alarms == []
    log.go_on(start + 3 * 4 - 4, 10, "fan")
    assert [alarm.device_id for alarm in log.alarms] == ["pump"]


def test_a_silence_is_hardly_learnt_from_and_the_next_one_is_reported_too() -> None:
    log = known()
    log.go_on(PROBATION, 200, "fan")
    log.go_on(PROBATION + 200, 10, "fan", "pump")

    log.go_on(PROBATION + 210, 40, "fan")

    first, second = (alarm.offset for alarm in log.alarms)
    assert second - first > 200


@pytest.mark.parametrize("apart", [0, SILENT_TICKS])
def test_what_a_device_stops_to_measure_together_is_one_alarm(apart: int) -> None:
    log = Log()
    for tick in range(PROBATION):
        log.say(tick * TICK_US, "pump", "fan")
        log.say(tick * TICK_US, "pump", metric="p")
    for tick in range(PROBATION, PROBATION + 100):
        log.say(tick * TICK_US, "fan")
        if tick < PROBATION + apart:
            log.say(tick * TICK_US, "pump", metric="p")
    assert [alarm.device_id for alarm in log.alarms] == ["pump"]


def test_a_metric_that_stops_alone_does_not_hide_the_device_that_stops_later() -> None:
    log = Log()
    for tick in range(PROBATION + 200):
        log.say(tick * TICK_US, "fan")
        if tick < PROBATION + 100:
            log.say(tick * TICK_US, "pump")
        if tick < PROBATION:
            log.say(tick * TICK_US, "pump", metric="p")
    assert [(alarm.device_id, alarm.metric) for alarm in log.alarms] == [("pump", "p"), ("pump", "t")]
    assert all(one.offset < other.offset for one, other in pairwise(log.alarms))
