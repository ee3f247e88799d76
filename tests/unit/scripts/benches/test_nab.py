"""The scoring rule: what the paper says of alarms early, late, missing and false."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.benches import nab
from scripts.benches.nab import LOW_FN, LOW_FP, PROFILES, STANDARD, DataError, Profile, Series, best, score

LENGTH = 1000
WINDOW = (400, 499)


def series(*windows: tuple[int, int], length: int = LENGTH) -> Series:
    return Series("a/b.csv", np.arange(length), np.zeros(length), windows)


def alarms(*rows: int, length: int = LENGTH) -> nab.Floats:
    scores = np.zeros(length)
    scores[list(rows)] = 1.0
    return scores


def scored(*rows: int, profile: Profile = STANDARD, of: Series | None = None) -> float:
    return score([of or series(WINDOW)], [alarms(*rows)], profile, 0.5)


@pytest.mark.parametrize("profile", PROFILES)
def test_never_an_alarm_is_nothing_and_the_first_row_of_each_window_is_all(profile: Profile) -> None:
    corpus = [series(WINDOW, (700, 749)), series((200, 260)), series()]

    def whole(*rows: tuple[int, ...]) -> float:
        return score(corpus, [alarms(*found) for found in rows], profile, 0.5)

    assert whole((), (), ()) == 0.0
    assert whole((400, 700), (200,), ()) == pytest.approx(100.0)


def test_only_the_first_alarm_of_a_window_counts_and_an_early_one_for_more() -> None:
    assert scored(400) == scored(400, 401, 499) > scored(420) > scored(450) > scored(499) > 50.0
    # In the middle of the window: sigma(-0.51) of the paper, over that of the first row.
    middle = (2 / (1 + np.exp(-5 * 0.51)) - 1) / (2 / (1 + np.exp(-5)) - 1)
    assert scored(449) == pytest.approx(50 * (middle + 1))


def test_a_false_alarm_costs_more_the_farther_it_is_behind_a_window() -> None:
    costs = [-scored(row) for row in (500, 520, 600, 900)]
    assert costs == sorted(costs)
    # Without a window before it, or far behind one, it costs its whole weight; half the scale is a window missed.
    assert -scored(300) == -scored(999) == pytest.approx(50 * STANDARD.false_alarm)
    assert -scored(300, 301) == pytest.approx(2 * 50 * STANDARD.false_alarm)
    assert -scored(300, profile=LOW_FP) == pytest.approx(2 * 50 * STANDARD.false_alarm)


def test_a_missed_window_costs_twice_where_that_is_what_matters() -> None:
    both = series(WINDOW, (700, 799))
    assert scored(400, of=both) == pytest.approx(50.0)
    assert scored(400, of=both, profile=LOW_FN) == pytest.approx(50.0)
    # The same false alarm weighs less against windows that weigh more.
    assert scored(300, profile=LOW_FN) == pytest.approx(-100 / 3 * LOW_FN.false_alarm)


@pytest.mark.parametrize(("length", "probation"), [(1000, 150), (5000, 750), (20_000, 750), (7, 1), (0, 0)])
def test_nothing_counts_in_probation(length: int, probation: int) -> None:
    one = series(length=length)
    assert one.probation == probation
    if length == LENGTH:
        assert scored(*range(probation)) == 0.0
        assert scored(probation) < 0.0


def test_the_best_threshold_is_the_best_of_all() -> None:
    random = np.random.default_rng(3)
    corpus = [series(WINDOW, (700, 749)), series((200, 260)), series()]
    scores = [np.round(random.random(LENGTH), 2) for _ in corpus]
    for one, found in zip(corpus, scores, strict=True):
        for first, last in one.windows:
            found[first : last + 1] += np.round(random.random(last - first + 1), 2) / 2
    for profile in PROFILES:
        tried = {float(at): score(corpus, scores, profile, float(at)) for at in np.unique(np.concatenate(scores))}
        value, threshold = best(corpus, scores, profile)
        assert value == pytest.approx(max(tried.values()))
        assert tried[threshold] == pytest.approx(value)
        assert value > 0.0


def test_where_every_alarm_costs_the_best_is_none() -> None:
    value, threshold = best([series(WINDOW)], [alarms(300)], STANDARD)
    assert value == 100 * (1 - STANDARD.missed) / 2 == 0.0
    assert threshold > 1.0


def labelled(folder: Path, windows: object, rows: str = "2014-04-01 00:00:00,1\n2014-04-01 00:05:00,2.5\n") -> Path:
    (folder / "g").mkdir()
    (folder / "g" / "f.csv").write_text(f"timestamp,value\n{rows}")
    (folder / "windows.json").write_text(json.dumps(windows))
    return folder


def test_a_folder_in_the_benchmarks_layout(tmp_path: Path) -> None:
    (one,) = nab.read(labelled(tmp_path, {"g/f.csv": [["2014-04-01 00:05:00.000000", "2014-04-01 02:00:00.000000"]]}))
    assert (one.name, one.windows, one.values.tolist()) == ("g/f.csv", [(1, 1)], [1.0, 2.5])
    assert one.ts.tolist() == [1_396_310_400_000_000, 1_396_310_700_000_000]


@pytest.mark.parametrize(
    ("windows", "rows", "said"),
    [
        ({"g/missing.csv": []}, "", "missing.csv"),
        ({"g/f.csv": [["2015-01-01 00:00:00", "2015-01-02 00:00:00"]]}, "2014-04-01 00:00:00,1\n", "no row"),
        ({"g/f.csv": []}, "yesterday,1\n", "layout"),
        ({"g/f.csv": [["2015-01-01"]]}, "2014-04-01 00:00:00,1\n", "layout"),
        ([], "", "layout"),
    ],
)
def test_a_folder_that_is_something_else_is_named(tmp_path: Path, windows: object, rows: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        nab.read(labelled(tmp_path, windows, rows))


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Numenta"):
        nab.read(tmp_path / "nowhere")
