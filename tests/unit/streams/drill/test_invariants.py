"""The judge of a soak can say no: each thing that must not happen is found when it does."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scripts.soaks import verdict
from scripts.soaks.plan import Step
from scripts.soaks.report import Report
from scripts.soaks.sampler import Findings, Judge, Mark, Sample
from scripts.soaks.soak import figures
from streams.drill import invariants
from streams.drill.book import Book, Counter, Present
from streams.drill.fleet import COUNT, METRIC, NO_NUMBER, SKEWS_US, Stream, values

START_US = 1_767_225_600_000_000
STREAM = Stream("kafka", 9, 200_000, START_US)
READINGS = 100

Row = tuple[str, str, int, float]


def row(number: int, stream: Stream = STREAM) -> Row:
    return stream.device(number), METRIC, stream.ts_us(number), stream.value(number)


def table(rows: Sequence[Row]) -> pa.Table:
    names = {"device_id": pa.string(), "metric": pa.string(), "ts_us": pa.int64(), "value": pa.float64()}
    columns = ([row_[place] for row_ in rows] for place in range(len(names)))
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(names.items(), columns, strict=True)})


def book(accepted: Sequence[int], stream: Stream = STREAM, present: Present | None = None) -> Book:
    made = Book(stream, present or Present())
    for number in accepted:
        made.accept(number)
    return made


def compared(rows: Sequence[Row], killed: Sequence[float] = ()) -> invariants.Comparison:
    (found,) = invariants.compare(table(rows), [book(range(READINGS))], {"kafka": killed})
    return found


def judged(rows: Sequence[Row]) -> Report:
    report = Report(1, {}, {})
    verdict.rows(report, [compared(rows)], 0)
    return report


ALL = [row(number) for number in range(READINGS)]


def test_a_reading_is_found_again_by_device_and_instant() -> None:
    numbers = np.arange(READINGS, dtype=np.int64)
    ts = np.array([STREAM.ts_us(number) for number in range(READINGS)])
    assert (STREAM.numbers(numbers % STREAM.devices, ts) == numbers).all()
    assert (STREAM.numbers(numbers % STREAM.devices, ts + 1) == NO_NUMBER).all()
    assert values(numbers).tolist() == [STREAM.value(number) for number in range(READINGS)]
    assert len({row(number)[:3] for number in range(READINGS)}) == READINGS
    assert any(skew > 0 for skew in SKEWS_US)
    assert any(skew < 0 for skew in SKEWS_US)


def test_what_is_whole_is_not_complained_of() -> None:
    found = compared(ALL)
    assert (found.accepted, found.rows) == (READINGS, READINGS)
    assert (found.lost, found.duplicated, found.wrong, found.foreign, found.unconfirmed) == (0, 0, 0, 0, 0)
    assert judged(ALL).violations == []


def test_a_lost_reading_is_found() -> None:
    report = judged(ALL[:50] + ALL[51:])
    assert (report.accepted, report.lost, report.duplicated) == (READINGS, 1, 0)
    assert report.violations == ["1 of 100 readings of kafka are lost"]


def test_all_lost_is_found() -> None:
    assert judged([]).lost == READINGS


def test_a_duplicated_reading_is_found() -> None:
    report = judged([*ALL, ALL[7], ALL[7]])
    assert (report.lost, report.duplicated) == (0, 2)
    assert report.violations == ["2 readings of kafka stand there more than once"]


def test_another_value_is_found() -> None:
    device, metric, ts, value = ALL[3]
    report = judged([*ALL[:3], (device, metric, ts, value + 1e-9), *ALL[4:]])
    assert report.violations == ["1 rows of kafka have another value than was sent"]


@pytest.mark.parametrize(
    "row_", [("kafka-00003", METRIC, START_US + 1, 1.0), ("kafka-00003", "other", START_US, 1.0), row(1_000_000)]
)
def test_a_reading_that_nobody_sent_is_found(row_: Row) -> None:
    assert judged([*ALL, row_]).violations == ["1 rows of kafka are readings that nobody sent"]


def test_a_row_of_a_device_that_nobody_has_is_found() -> None:
    rows = table([*ALL, ("rubbish-1", METRIC, START_US, 1.0), ("counter-1", COUNT, START_US, 1.0)])
    assert invariants.strangers(rows, [book(range(READINGS))], [Counter("counter-1", START_US)]) == 1


def test_what_was_stored_without_a_word_to_the_sender_is_counted_and_not_complained_of() -> None:
    (found,) = invariants.compare(table(ALL), [book(range(READINGS - 1))], {})
    assert (found.accepted, found.lost, found.duplicated, found.unconfirmed) == (READINGS - 1, 0, 0, 1)


def test_only_what_a_killed_broker_had_not_saved_is_forgiven() -> None:
    now = time.time()
    assert (compared(ALL[:-1], [now]).lost, compared(ALL[:-1], [now]).unsaved) == (0, 1)
    assert (compared(ALL[:-1], [now - 10]).lost, compared(ALL[:-1], [now - 10]).unsaved) == (1, 0)


def test_losses_are_told_of_the_fault_during_which_they_were_accepted() -> None:
    present = Present()
    kept = Book(STREAM, present)
    for number in range(READINGS):
        present.mark = invariants.mark_of(number // 50)
        kept.accept(number)
    found = invariants.compare(table(ALL[:60] + ALL[61:] + ALL[:1]), [kept], {})
    steps: list[tuple[Step, float]] = [(("worker killed", "bridge killed"), 2.0), (("worker killed",), 3.0)]
    kinds = {kind.name: kind for kind in figures(steps, found)}
    killed, bridge = kinds["worker killed"], kinds["bridge killed"]
    assert (killed.times, killed.accepted, killed.lost, killed.duplicated, killed.recover_s) == (2, 100, 1, 1, 3.0)
    assert (bridge.times, bridge.accepted, bridge.lost, bridge.duplicated, bridge.recover_s) == (1, 50, 0, 1, 2.0)


@pytest.mark.parametrize(("stands", "fine"), [([3.0], True), ([2.0], False), ([], False), ([3.0, 2.0], False)])
def test_a_counter_stands_at_the_last_count_that_was_accepted(stands: list[float], *, fine: bool) -> None:
    counter = Counter("counter-1", START_US, sent=3, accepted=3)
    rows = table([("counter-1", COUNT, START_US, value) for value in stands])
    assert (invariants.standing(rows, [counter]) == []) is fine


MARK = Mark(10, 8, 3)


def sample(committed: int, *, marks: Mark = MARK, end: int = 12, count: float = 5.0) -> Sample:
    return Sample({0: committed}, {0: marks}, {0: end}, {"counter-1": count})


def found_in(*samples: Sample) -> Findings:
    judge = Judge()
    for taken in samples:
        judge.take(taken)
    return judge.findings


def test_marks_and_counters_that_go_forward_are_fine() -> None:
    findings = found_in(sample(7), sample(8, marks=Mark(12, 9, 4), count=6.0))
    assert (findings.samples, findings.ahead, findings.backwards) == (2, [], [])


@pytest.mark.parametrize("committed", [9, 11])
def test_an_offset_that_is_committed_ahead_of_the_marks_is_found(committed: int) -> None:
    assert len(found_in(sample(committed)).ahead) == 1


def test_an_offset_that_is_committed_without_marks_and_a_mark_past_the_log_are_found() -> None:
    assert len(found_in(Sample({0: 1}, {}, {0: 1}, {})).ahead) == 1
    assert len(found_in(sample(8, end=9)).ahead) == 1


@pytest.mark.parametrize("later", [{"marks": Mark(9, 8, 3)}, {"marks": Mark(10, 8, 2)}, {"count": 4.0}])
def test_what_goes_backwards_is_found(later: dict[str, Any]) -> None:
    assert len(found_in(sample(8), sample(8, **later)).backwards) == 1
