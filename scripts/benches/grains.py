"""How coarsely alarms are told: what share of a week asks what was asked before, and what is misstated for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from schemas.models import AnalysisRequest
from scripts.benches.plot import Picture, Plot
from streams.prompts.facts import SHAPE_STEPS, Facts
from streams.prompts.grain import GRAIN, Grain

RATIOS: Final = (1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
USUALS: Final = (0.5, 1.0, 2.0, 3.0, 5.0)
# Told further from the truth than that, a distance is misstated: so many spreads (what is noise), or that part of it.
NOISE: Final = 2.0
PART: Final = 0.25


@dataclass(frozen=True, slots=True)
class Coarse:
    """What a grain does to a week: shares of requests, and of the distances that are told."""

    grain: Grain
    hits: float
    misstated: float


def measure(requests: Sequence[AnalysisRequest], grain: Grain) -> Coarse:
    """Tell all requests at a grain."""
    told = {Facts.of(request, grain=grain).model_dump_json() for request in requests}
    distances = [one for request in requests for one in _distances(request)]
    wrong = sum(abs(grain.distance(one) - one) > max(NOISE, PART * abs(one)) for one in distances)
    return Coarse(grain, 1.0 - len(told) / len(requests), wrong / len(distances))


def exact(requests: Sequence[AnalysisRequest]) -> float:
    """Give the share of hits where all is told to three digits."""
    return 1.0 - len({Facts.rounded(request).model_dump_json() for request in requests}) / len(requests)


def sweep(requests: Sequence[AnalysisRequest]) -> list[Coarse]:
    """Measure all grains that are drawn."""
    return [measure(requests, Grain(usual, ratio)) for usual in USUALS for ratio in RATIOS]


def picture(seen: Sequence[Coarse]) -> Picture:
    """Draw hits, and what is misstated, over the ratio of a step to the next."""
    by_usual = {usual: [one for one in seen if one.grain.usual == usual] for usual in USUALS}

    def lines(share: str) -> dict[str, list[float]]:
        return {f"usual: {usual:g} spreads": [getattr(one, share) for one in ones] for usual, ones in by_usual.items()}

    plots = [Plot("hits, share of alarms", lines("hits")), Plot("misstated, share of distances", lines("misstated"))]
    title = f"How coarsely alarms are told (chosen: {GRAIN.usual:g} spreads, ratio {GRAIN.ratio:g})"
    return Picture(title, "one step is so many times the one before", RATIOS, plots)


def _distances(request: AnalysisRequest) -> list[float]:
    """Give the distances from the baseline that a request tells, in spreads: values, and means of the shape."""
    if request.spread <= 0:
        return []
    values = [sample.value for sample in request.samples]
    steps = min(SHAPE_STEPS, len(values))
    edges = [len(values) * step // steps for step in range(steps + 1)] if steps else []
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    told = [request.value, *means, *([min(values), max(values), values[0], values[-1]] if values else [])]
    return [(value - request.baseline) / request.spread for value in told]
