"""The bench `cost`: what is counted, how findings are judged, and what the reader sees."""

import numpy as np
import pytest

from scripts.benches import cost
from scripts.benches.cost import (
    A_READING,
    A_WINDOW,
    CALLS,
    TIDEGATE,
    TIDEGATE_AT_ONCE,
    WINDOW,
    Sample,
    Way,
    reads,
    report,
)
from scripts.benches.faulty import KINDS, NOISE, Fault, Fleet, Floats, Plan, fleet, judged

PLAN = Plan(devices=4, readings=1500, interval_s=60.0, quiet=600, apart=300, share=1.0)


def test_faults_stand_where_they_are_said_to_be_and_nowhere_else() -> None:
    with_faults, without = fleet(PLAN), fleet(Plan(4, 1500, 60.0, 600, 300, 0.0))
    assert without.faults == ()
    assert len(with_faults.faults) == 4 * 3
    assert {fault.kind for fault in with_faults.faults} <= set(KINDS)
    for fault in with_faults.faults:
        stretch = 600 + (fault.first - 600) // 300 * 300
        assert stretch <= fault.first < fault.end <= stretch + 300
        values = with_faults.values[fault.device, fault.first : fault.end]
        assert np.ptp(values) == 0.0 or np.abs(np.diff(with_faults.values[fault.device])).max() > 4 * NOISE
    assert (with_faults.values[:, :600] == fleet(PLAN).values[:, :600]).all()


@pytest.mark.parametrize(
    ("found", "recall", "precision"),
    [
        ({}, 0.0, 0.0),
        ({0: [100, 101, 129]}, 0.5, 1.0),
        ({0: [90, 100], 1: [55]}, 1.0, 1.0),
        ({0: [10, 100], 1: [90]}, 0.5, 1 / 3),
        ({0: [130], 1: [49]}, 0.0, 0.0),
    ],
)
def test_findings_are_judged_by_event(found: dict[int, list[int]], recall: float, precision: float) -> None:
    made = Fleet(np.zeros((2, 200)), 60.0, (Fault(0, 100, 110, "level"), Fault(1, 50, 51, "spike")))
    assert judged(found, made, grace=20) == pytest.approx((recall, precision))


def hour() -> Floats:
    values: Floats = np.linspace(20.0, 21.0, WINDOW) + 0.1 * np.sin(np.arange(WINDOW) * 2.4)
    return values


def test_the_reader_sees_what_stands_out_and_what_stands_still() -> None:
    spiky, stuck = hour(), hour()
    spiky[17] += 4.0
    stuck[30:55] = stuck[30]
    assert reads(hour()) is None
    assert reads(spiky) == 17
    assert reads(stuck) == 50
    assert reads(np.full(WINDOW, 5.0)) == 20


def test_the_ways_are_counted_with_the_prompts_that_would_be_sent() -> None:
    made = fleet(PLAN)
    ways = cost._ways(made, lambda _: None)  # noqa: SLF001  # all of them, without the endpoint

    assert ways[A_READING].calls == made.values.size
    assert ways[A_WINDOW].calls == 4 * 1500 // WINDOW
    own, at_once = ways[TIDEGATE], ways[TIDEGATE_AT_ONCE]
    assert own.calls == sum(map(len, own.found.values())) > 0
    assert at_once.calls == -(-own.calls // cost.PACK)
    assert at_once.tokens < own.tokens < ways[A_WINDOW].tokens
    recall, _ = judged(own.found, made, grace=cost.GRACE)
    assert recall > 0.5


def test_the_report_says_what_is_more_and_what_is_less() -> None:
    made = Fleet(np.zeros((1, 200)), 60.0, (Fault(0, 100, 110, "level"),))
    good, bad = {0: [100]}, {0: [10]}
    ways = {
        A_READING: Way(2_000_000, 10, 10, 1, bad),
        A_WINDOW: Way(1000, 1_200_000, 0, CALLS, good),
        TIDEGATE: Way(1000, 90_000, 10_000, CALLS, good),
        TIDEGATE_AT_ONCE: Way(63, 9000, 1000, CALLS, good),
    }
    said = report(made, ways, Sample(3.6, 100, 100), {})
    assert [(goal.value, goal.met) for goal in said.goals[:2]] == [(12.0, True), (2000.0, True)]
    assert all(goal.met for goal in said.goals)
    figures = {(result.system, result.metric): result.median for result in said.results}
    assert figures[A_READING, "hours, extrapolated"] == pytest.approx(2000.0)
    assert figures[TIDEGATE, "dollars"] == pytest.approx((90_000 * 0.15 + 10_000 * 0.6) / 1e6)
