"""The other half of the judge: counts, dead letters, processes; and the object that it prints."""

import io
import json

import pytest
from rich.console import Console

from connectors.timescale.ledger import FencedError
from scripts.soaks import verdict
from scripts.soaks.outside import Counts, Letters
from scripts.soaks.report import FaultFigures, Report
from scripts.soaks.sampler import Findings
from scripts.soaks.workers import Exit
from streams.drill.book import Counter

FENCED = str(FencedError())


@pytest.fixture
def report() -> Report:
    return Report(1, {"cores": 2}, {"python": "3"})


@pytest.mark.parametrize(
    ("table_rows", "log_records", "violations"), [(10, 16, 0), (9, 16, 1), (10, 17, 1), (10, 15, 1)]
)
def test_each_record_of_the_log_is_counted_once(
    report: Report, table_rows: int, log_records: int, violations: int
) -> None:
    verdict.counted(report, Counts(10, 3, 2, 1), table_rows=table_rows, log_records=log_records)
    assert len(report.violations) == violations
    assert report.duplicated == 10 - table_rows


def letters(report: Report, found: Letters, poison: set[tuple[int, int]], counted: int = 1) -> list[str]:
    counters = [Counter("counter-1", 0, sent=3, accepted=3)]
    verdict.letters(report, found, poison, Counts(0, 0, 2, counted), counters)
    return report.violations


def test_poison_and_losing_counts_are_in_dead_letters(report: Report) -> None:
    assert letters(report, Letters({(0, 5): 2}, {"counter-1": {1.0, 2.0}}), {(0, 5)}) == []
    assert report.checks["dead letters that came again"] == 1


@pytest.mark.parametrize(
    ("found", "violations"),
    [
        (Letters({}, {"counter-1": {1.0, 2.0}}), "1 poisoned records have no dead letter, such as readings[0]:5"),
        (Letters({(0, 5): 1}, {"counter-1": {1.0}}), "1 values that lost against a later one are not in dead-letters"),
        (
            Letters({(0, 5): 1, (0, 6): 1}, {"counter-1": {1.0, 2.0}}),
            "1 dead letters are of good records, such as readings[0]:6",
        ),
    ],
)
def test_a_missing_and_a_needless_dead_letter_are_found(report: Report, found: Letters, violations: str) -> None:
    assert letters(report, found, {(0, 5)}) == [violations]


def test_poison_that_is_counted_twice_is_found(report: Report) -> None:
    found = Letters({(0, 5): 1}, {"counter-1": {1.0, 2.0}})
    assert letters(report, found, {(0, 5)}, counted=2) == ["the marks count 2 poisoned records, 1 were sent"]


@pytest.mark.parametrize(
    ("exit_", "fine"),
    [
        (Exit("worker-1", 137, "", "worker killed", meant=True), True),
        (Exit("worker-1", 1, FENCED, "worker asleep beyond its session", meant=False), True),
        (Exit("worker-1", 1, "it broke", "worker asleep beyond its session", meant=False), False),
        (Exit("worker-1", 1, FENCED, "", meant=False), False),
        (Exit("worker-1", 1, "it broke", "", meant=False), False),
        (Exit("worker-1", 0, "", "worker stopped, another joins", meant=True), True),
        (Exit("worker-1", 1, "", "worker stopped, another joins", meant=True), False),
    ],
)
def test_a_process_ends_because_of_a_fault(report: Report, exit_: Exit, *, fine: bool) -> None:
    verdict.processes(report, [exit_], {"worker-1": 300.0}, {"worker-1": 0})
    assert (report.violations == []) is fine


def test_memory_without_bound_and_a_bad_end_are_found(report: Report) -> None:
    verdict.processes(report, [], {"worker-1": 5000.0}, {"worker-2": 1})
    assert len(report.violations) == 2


def test_what_was_seen_on_the_way_is_judged(report: Report) -> None:
    verdict.order(report, Findings(3), [], [])
    assert report.violations == []
    verdict.order(report, Findings(3, ahead=["a"], backwards=["b"]), ["c"], [])
    assert len(report.violations) == 3


def test_nothing_seen_is_nothing_proved(report: Report) -> None:
    verdict.order(report, Findings(), [], [])
    assert report.violations == ["marks and offsets were never looked at"]


def test_the_object_is_the_designs(report: Report) -> None:
    report.accepted = 10
    report.faults = [FaultFigures("worker killed", 2, 5, 0, 0, 1.26)]
    report.exits = (Exit("worker-1", 137, "", "worker killed", meant=True),) * 2
    said = json.loads(json.dumps(report.to_json()))
    assert {name: said[name] for name in ("accepted", "lost", "duplicated", "injected")} == {
        "accepted": 10,
        "lost": 0,
        "duplicated": 0,
        "injected": 2,
    }
    assert said["faults"] == [
        {"name": "worker killed", "times": 2, "accepted": 5, "lost": 0, "duplicated": 0, "recover_s": 1.3}
    ]
    assert [exit_["times"] for exit_ in said["exits"]] == [2]


def test_the_tables_say_what_was_violated(report: Report) -> None:
    report.faults = [FaultFigures("worker killed", 2, 5, 0, 0, 1.26)]
    report.violations = ["1 of 100 readings of kafka are lost"]
    console = Console(record=True, width=120, file=io.StringIO())
    report.show(console)
    said = console.export_text()
    assert "VIOLATED: 1 of 100 readings of kafka are lost" in said
    assert "1 violated" in said
