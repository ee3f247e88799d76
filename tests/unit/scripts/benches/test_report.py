"""What a bench says: medians, goals on the right side, and nothing made up for what was not measured."""

import io
import json

import pytest
from rich.console import Console

from scripts.benches.report import Direction, Goal, Report, Result, ratio, shown


def test_a_result_gives_the_middle_and_the_bounds() -> None:
    result = Result("ours", "rows", "rows/s", (300.0, 100.04, 200.0))
    assert result.to_json() == {
        "system": "ours",
        "metric": "rows",
        "unit": "rows/s",
        "median": 200.0,
        "min": 100.0,
        "max": 300.0,
        "n": 3,
    }


def test_what_was_not_measured_has_no_figure_and_meets_no_goal() -> None:
    result = Result("theirs", "rows", "rows/s", ())
    assert (result.median, result.min, result.max, result.n) == (None, None, None, 0)
    assert ratio(result.median, 2.0) is None
    assert ratio(2.0, result.median) is None
    assert ratio(2.0, 0.0) is None
    assert not Goal("x", None, 0.0).met
    assert not Goal("x", None, 1.0, Direction.AT_MOST).met


@pytest.mark.parametrize(
    ("value", "direction", "met"),
    [
        (1.5, Direction.AT_LEAST, True),
        (1.49999, Direction.AT_LEAST, False),  # would be 1.5 if rounded
        (1.5, Direction.AT_MOST, True),
        (1.50001, Direction.AT_MOST, False),
    ],
)
def test_a_goal_is_compared_as_measured(value: float, direction: Direction, met: bool) -> None:  # noqa: FBT001  # a parameter of the test
    assert Goal("x", value, 1.5, direction).met is met


def test_the_object_and_the_tables_say_the_same() -> None:
    report = Report(
        "ingest",
        {"cores": 2},
        {"python": "3.11"},
        [Result("ours", "rows", "rows/s", (165_349.0,)), Result("theirs", "rows", "rows/s", ())],
        {"ours / theirs": None},
        [Goal("ours / limit", 0.8, 0.7)],
    )
    said = json.loads(json.dumps(report.to_json()))
    assert list(said) == ["bench", "machine", "versions", "results", "ratios", "goals"]
    assert said["ratios"] == {"ours / theirs": None}
    assert said["goals"] == [{"name": "ours / limit", "value": 0.8, "goal": 0.7, "met": True}]
    out = io.StringIO()
    report.show(Console(file=out, width=120))
    for expected in ("165,300", "theirs", "at least 0.7", "met", "cores 2"):
        assert expected in out.getvalue()


@pytest.mark.parametrize(
    ("value", "expected"), [(165_349.0, "165,300"), (2.3149, "2.315"), (0.00012345, "0.0001234"), (None, "-")]
)
def test_figures_have_as_many_digits_as_mean_something(value: float | None, expected: str) -> None:
    assert shown(value) == expected
