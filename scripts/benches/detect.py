"""`scripts/bench detect`: the detector on labelled series, by the rule of the Numenta Anomaly Benchmark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from scripts.benches import detectors, machine, nab
from scripts.benches.command import Json, progress, publish
from scripts.benches.nab import PROFILES, Floats, Series
from scripts.benches.report import Goal, Report, Result

SUMMARY = "The detector's score on labelled series (Numenta Anomaly Benchmark), beside baselines; needs no servers."
EXAMPLES = "Example: [bold]scripts/bench detect --data NAB_FOLDER --json[/]"

TIDEGATE = "tidegate"
SYSTEMS: Mapping[str, detectors.Scored] = {
    TIDEGATE: detectors.tidegate,
    "Windowed Gaussian": detectors.windowed_gaussian,
    f"an alarm every {detectors.PERIOD} readings": detectors.periodic,
}
GOALS = {nab.STANDARD.name: 70.0, nab.LOW_FP.name: 60.0}
# What ships has a threshold of its own.
SHIPPED = 0.5

Data = Annotated[Path, typer.Option(help="A folder with <group>/<file>.csv, and windows.json with the labels.")]
Scores = Mapping[str, Sequence[Floats]]


def command(*, data: Data, as_json: Json = False) -> None:
    """Score every detector on the whole corpus: one setting and one threshold for all series.

    Tidegate is scored at the threshold that ships; a baseline at the one that is best for it in each profile.
    """
    corpus = nab.read(data)
    with progress(len(SYSTEMS)) as step:
        scores = {}
        for name, scored in SYSTEMS.items():
            step(name)
            scores[name] = [scored(series) for series in corpus]
    publish(report(corpus, scores, machine.versions()), as_json=as_json)


def report(corpus: Sequence[Series], scores: Scores, versions: Mapping[str, str]) -> Report:
    """Compose what is said of the scores."""
    results = []
    goals = []
    for name, found in scores.items():
        for profile in PROFILES:
            if name == TIDEGATE:
                value = nab.score(corpus, found, profile, SHIPPED)
            else:
                value, _ = nab.best(corpus, found, profile)
            results.append(Result(name, profile.name, "of 100", (value,)))
            if name == TIDEGATE and profile.name in GOALS:
                goals.append(Goal(profile.name, value, GOALS[profile.name]))
    return Report("detect", machine.machine(), versions, results, goals=goals)
