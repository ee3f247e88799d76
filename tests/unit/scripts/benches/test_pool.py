"""What the bench `pool` makes of its figures: differences to the limit, of medians; what is missing stays missing."""

import pytest

from scripts.benches.endpoints import Outcome
from scripts.benches.pool import Faults, report

FIGURES = {
    "bare": [{"p50": 5.0, "p99": 7.0}, {"p50": 6.0, "p99": 8.0}, {"p50": 5.2, "p99": 9.0}],
    "tidegate": [{"p50": 5.5, "p99": 10.0}],
    "litellm": [{"p50": 12.2, "p99": 20.0}],
    "nothing": [{"p50": 0.5, "p99": 1.0}],
    "alone": [{"p50": 0.7, "p99": 1.3}],
}
FAULTS = Faults({"killed": [Outcome(100, 0, 0.1, 0.2), Outcome(100, 1, 1.5, 0.2)]}, [2.0], [40, 39])


def test_goals_are_about_what_is_above_the_limit() -> None:
    said = {goal.name: goal for goal in report(FIGURES, FAULTS, 40.0, {}).goals}
    assert said["p50 above the bare client, ms"].value == pytest.approx(0.3)
    assert said["p99 above the bare client, ms"].value == pytest.approx(2.0)
    assert said["p50 of the pool alone at 1,000 calls/s, ms"].value == pytest.approx(0.2)
    assert said["overhead / LiteLLM's, p50"].value == pytest.approx(0.3 / 7.0)
    failed, moved = said["endpoint killed: failed calls"], said["endpoint killed: traffic moved, s"]
    assert (failed.value, failed.met, moved.value, moved.met) == (1.0, False, 1.5, False)
    made = [goal for name, goal in said.items() if "money for 40" in name]
    assert [(goal.value, goal.met) for goal in made] == [(40.0, True), (39.0, False)]


def test_a_peer_that_is_missing_meets_no_goal() -> None:
    said = report({name: runs for name, runs in FIGURES.items() if name != "litellm"}, Faults({}, [], []), 40.0, {})
    compared = next(goal for goal in said.goals if "LiteLLM" in goal.name)
    assert (compared.value, compared.met) == (None, False)
