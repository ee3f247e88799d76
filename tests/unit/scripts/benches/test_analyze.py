"""The bench `analyze`: what Little's law allows is counted from the model's own record."""

import pytest

from scripts.benches import analyze
from scripts.benches.analyze import CALLS, judge, report
from scripts.benches.measure import MeasureError


def call(at: float, until: float | None, windows: int = 1) -> dict[str, object]:
    user = "\n".join(f'{{"n":{n},"metric":"t"}}' for n in range(1, windows + 1))
    usage = {"prompt_tokens": 90 * windows, "completion_tokens": 10 * windows}
    return {"at": at, "until": until, "usage": usage, "body": {"messages": [{"content": user}]}}


def steady(windows: int) -> list[dict[str, object]]:
    """All calls out all the time, two seconds each."""
    return [call(at, at + 2, windows) for _ in range(CALLS) for at in range(0, 100, 2)]


@pytest.mark.parametrize("windows", [1, 16])
def test_who_keeps_all_calls_out_and_stores_what_they_say_has_all_of_it(windows: int) -> None:
    insights = CALLS * windows * 40 // 2
    found = judge(steady(windows), 20.0, 60.0, insights)
    assert found.ratio == pytest.approx(1.0)
    assert found.latency_s == pytest.approx(2.0)
    assert (found.windows_per_call, found.tokens_per_insight) == (windows, 100.0)
    assert judge(steady(windows), 20.0, 60.0, insights // 2).ratio == pytest.approx(0.5)


def test_calls_that_were_not_out_are_what_is_missing() -> None:
    half = steady(1)[: len(steady(1)) // 2]
    assert judge(half, 20.0, 60.0, CALLS * 10).ratio == pytest.approx(0.5)


def test_a_call_that_never_comes_back_takes_its_place() -> None:
    calls = [*steady(1)[50:], call(0.0, None)]
    found = judge(calls, 20.0, 60.0, (CALLS - 1) * 20)
    assert found.latency_s == pytest.approx(2.0 * CALLS / (CALLS - 1))
    assert found.ratio == pytest.approx(1.0)


def test_nothing_is_no_measurement() -> None:
    with pytest.raises(MeasureError):
        judge([call(0.0, None)], 20.0, 60.0, 0)


def test_the_report_has_a_goal_for_each_way() -> None:
    said = report({name: judge(steady(1), 20.0, 60.0, CALLS * 19) for name in analyze.WINDOWS}, {})
    assert [goal.value for goal in said.goals] == pytest.approx([0.95, 0.95])
    assert all(goal.met for goal in said.goals)
