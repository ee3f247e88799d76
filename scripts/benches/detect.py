"""`scripts/bench detect`: the detector on labelled series, by the rule of the Numenta Anomaly Benchmark; its cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from scripts.benches import detectors, machine, nab, tiers
from scripts.benches.command import Json, Runs, progress, publish
from scripts.benches.nab import PROFILES, Floats, Series
from scripts.benches.report import Direction, Goal, Report, Result
from scripts.benches.tiers import Tier

SUMMARY = (
    "The detector's score on labelled series (Numenta Anomaly Benchmark), beside baselines, and its cost; no servers."
)
EXAMPLES = "Example: [bold]scripts/bench detect --data NAB_FOLDER --json[/]"

FULL, LIGHT = "tidegate", "tidegate, light tier"
SYSTEMS: Mapping[str, detectors.Scored] = {
    FULL: detectors.full_tier,
    LIGHT: detectors.light_tier,
    "Windowed Gaussian": detectors.windowed_gaussian,
    f"an alarm every {detectors.PERIOD} readings": detectors.periodic,
}
GOALS = {nab.STANDARD.name: 70.0, nab.LOW_FP.name: 60.0}
# Microseconds a reading and bytes a series, at the most.
COSTS = {FULL: (1.5, 20_000.0), LIGHT: (0.5, 1024.0)}
# What ships has a threshold of its own.
SHIPPED = 0.5

Data = Annotated[Path, typer.Option(help="A folder with <group>/<file>.csv, and windows.json with the labels.")]
Scores = Mapping[str, Sequence[Floats]]


def command(*, data: Data, runs: Runs = 5, as_json: Json = False) -> None:
    """Score every detector on the whole corpus: one setting and one threshold for all series.

    Tidegate is scored at the threshold that ships; a baseline at the one that is best for it in each profile. Then each
    tier of it is measured with a thousand series of which every batch has one reading.
    """
    corpus = nab.read(data)
    with progress(len(SYSTEMS) + len(COSTS)) as step:
        scores = {}
        for name, scored in SYSTEMS.items():
            step(name)
            scores[name] = [scored(series) for series in corpus]
        costs = {name: tiers.measure(name, runs, step, full=name == FULL) for name in COSTS}
    publish(report(corpus, scores, costs, machine.versions()), as_json=as_json)


def report(corpus: Sequence[Series], scores: Scores, costs: Mapping[str, Tier], versions: Mapping[str, str]) -> Report:
    """Compose what is said of the scores and of the costs."""
    results = []
    goals = []
    for name, found in scores.items():
        for profile in PROFILES:
            if name in COSTS:
                value = nab.score(corpus, found, profile, SHIPPED)
            else:
                value, _ = nab.best(corpus, found, profile)
            results.append(Result(name, profile.name, "of 100", (value,)))
            if name == FULL and profile.name in GOALS:
                goals.append(Goal(profile.name, value, GOALS[profile.name]))
    for name, tier in costs.items():
        cpu = Result(name, "CPU", "µs/reading", tier.cpu_us)
        results += [cpu, Result(name, "memory", "bytes/series", (tier.series_bytes,))]
        cpu_us, series_bytes = COSTS[name]
        goals += [
            Goal(f"µs a reading, {name}", cpu.median, cpu_us, Direction.AT_MOST),
            Goal(f"bytes a series, {name}", tier.series_bytes, series_bytes, Direction.AT_MOST),
        ]
    return Report("detect", machine.machine(), versions, results, goals=goals)
