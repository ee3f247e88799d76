"""The bench `detect`: what is scored sees no later reading, and the report says what was scored and what was wanted."""

import numpy as np
import pytest

from scripts.benches import detect, detectors, nab
from scripts.benches.detect import SYSTEMS, report
from scripts.benches.nab import Series
from scripts.benches.tiers import Tier


def series(values: nab.Floats, *windows: tuple[int, int]) -> Series:
    ts = np.arange(len(values), dtype=np.int64) * 300_000_000
    return Series("group/pump.csv", ts, values, windows)


def jumping() -> nab.Floats:
    random = np.random.default_rng(5)
    return np.concatenate([random.normal(20.0, 0.5, 900), random.normal(35.0, 0.5, 100)])


@pytest.mark.parametrize("name", SYSTEMS)
def test_no_score_knows_what_comes_later(name: str) -> None:
    values = np.concatenate([jumping(), np.zeros(50)])
    whole, part = SYSTEMS[name](series(values)), SYSTEMS[name](series(values[:950]))
    assert whole[:950].tolist() == part.tolist()
    assert len(whole) == len(values)


def test_the_shipped_detector_finds_a_jump_and_raises_one_alarm() -> None:
    (row,) = np.flatnonzero(detectors.full_tier(series(jumping())))
    assert 900 <= row < 910


def test_the_gaussian_knows_only_its_window() -> None:
    values = np.concatenate([np.zeros(10), [1.0], np.full(detectors.WINDOW + detectors.STEP, 5.0), [5.0]])
    scores = detectors.windowed_gaussian(series(values))
    # The tail on one side: a value at the mean lies in the middle.
    assert scores[1] == 0.5
    assert scores[10] == 1.0
    assert scores[-1] == 0.5, "what was before the window is forgotten"


def test_the_report_has_each_score_and_each_goal() -> None:
    values = jumping()
    corpus = [series(values, (880, 960))]
    costs = {detect.FULL: Tier((1.4, 1.6, 1.5), 12_000.0), detect.LIGHT: Tier((0.6,), 900.0)}
    said = report(corpus, {name: [scored(corpus[0])] for name, scored in SYSTEMS.items()}, costs, {})
    assert {(result.system, result.metric) for result in said.results} == {
        *((name, profile.name) for name in SYSTEMS for profile in nab.PROFILES),
        *((name, metric) for name in costs for metric in ("CPU", "memory")),
    }
    goals = {goal.name: goal for goal in said.goals}
    assert len(goals) == len(detect.GOALS) + 2 * len(costs)
    assert goals["µs a reading, tidegate"].met
    assert not goals["µs a reading, tidegate, light tier"].met
    assert goals["bytes a series, tidegate, light tier"].met
    assert goals["nab_standard"].met
    assert goals["nab_standard"].value == pytest.approx(said.results[0].median)
