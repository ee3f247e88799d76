"""A window as typed facts: what may be said about it, without saying which device or when.

Two requests with equal facts deserve the same answer, so the facts are quantised, those of alarms coarsely
(`streams.prompts.grain`), and neither the device's id nor the time of day is among them. Text that came from a device
is cut to a length here; it is escaped where a prompt is made.
"""

import hashlib
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from pydantic import BaseModel, ConfigDict

from schemas.fields import Direction, Severity
from schemas.models import AnalysisRequest
from streams.prompts.grain import GRAIN, Grain

# Significant digits of what was measured, and of what is computed from it.
DIGITS, DERIVED_DIGITS = 3, 2
# Of what is told coarsely, and has no scale of its own.
COARSE_DIGITS = 1
# A baseline of fewer spreads than this may as well be zero.
NEAR_ZERO = 3.0
# The window's course is told in this many steps at the most.
SHAPE_STEPS = 8
# A step further from the baseline than this many spreads says no more than "far away".
SHAPE_LIMIT = 99

UNIT_LENGTH = 32
KIND_LENGTH = 32
CLASS_LENGTH = 64
QUESTION_LENGTH = 1000
_DIGEST_LENGTH = 8


class Turn(BaseModel):
    """What was asked in a conversation before, and answered; with placeholders for what code fills in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str


class Facts(BaseModel):
    """What a prompt says about a window. A figure that cannot be computed is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tenant: str
    device_class: str
    metric: str
    unit: str
    kind: str
    direction: Direction
    severity: Severity
    value: float
    baseline: float
    spread: float
    # (value - baseline) / spread.
    deviation: float | None
    # 100 (value - baseline) / |baseline|.
    change_percent: float | None
    # Of the samples: the smallest, the largest, the first and the last value, and how many there are.
    low: float | None
    high: float | None
    first: float | None
    last: float | None
    samples: int
    # Seconds from the start of the window to its end.
    window_s: float
    # The samples' means in equal steps, as whole spreads from the baseline.
    shape: tuple[int, ...]
    question: str | None
    # What was said before the question, the oldest first.
    earlier: tuple[Turn, ...] | None
    # Whether a person or a schedule asked for it: then nothing unusual has raised it.
    asked: bool

    def numbers(self) -> tuple[float, ...]:
        """Give every number that a model is told, but for the shape."""
        told = [self.value, self.baseline, self.spread, self.deviation, self.change_percent]
        told += [self.low, self.high, self.first, self.last, self.samples, self.window_s]
        return tuple(one for one in told if one is not None)

    @classmethod
    def of(cls, request: AnalysisRequest, earlier: Sequence[Turn] = (), grain: Grain = GRAIN) -> Self:
        """Take the facts from a request, and from what was said before it, as a model is told them.

        Of what was asked for all digits that matter are told: the answer is about them.
        """
        facts = cls.rounded(request, earlier)
        return facts if facts.asked else facts.model_copy(update=_coarse(request, grain))

    @classmethod
    def rounded(cls, request: AnalysisRequest, earlier: Sequence[Turn] = ()) -> Self:
        """Take the facts to a few digits."""
        values = [sample.value for sample in request.samples]
        return cls(
            tenant=request.tenant,
            device_class=clip(request.device_class, CLASS_LENGTH),
            metric=request.metric,
            unit=clip(request.unit, UNIT_LENGTH),
            kind=clip(request.kind, KIND_LENGTH),
            direction=request.direction,
            severity=request.severity,
            value=quantise(request.value),
            baseline=quantise(request.baseline),
            spread=quantise(request.spread),
            deviation=_quantised(deviation(request), DERIVED_DIGITS),
            change_percent=_quantised(change_percent(request), DERIVED_DIGITS),
            low=_quantised(min(values, default=None)),
            high=_quantised(max(values, default=None)),
            first=_quantised(values[0] if values else None),
            last=_quantised(values[-1] if values else None),
            samples=int(quantise(len(values), DERIVED_DIGITS)),
            window_s=quantise(window_seconds(request), DERIVED_DIGITS),
            shape=tuple(_whole(distance) for distance in _shape(values, request.baseline, request.spread)),
            question=None if request.question is None else clip(request.question, QUESTION_LENGTH),
            earlier=tuple(earlier) or None,
            asked=not request.topic or request.question is not None,
        )


def clip(text: str, length: int) -> str:
    """Cut `text` to `length` characters; what is cut off leaves a digest, so that different texts stay different."""
    if len(text) <= length:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{text[: length - _DIGEST_LENGTH - 1]}~{digest}"


def quantise(value: float, digits: int = DIGITS) -> float:
    """Round to significant digits. A finite value stays finite."""
    rounded = float(f"{value:.{digits - 1}e}")
    # Rounding up the largest floats overflows. Adding zero makes -0.0 the same as 0.0.
    return (rounded if math.isfinite(rounded) else value) + 0.0


def change(request: AnalysisRequest) -> float | None:
    """Give value - baseline, or None where that overflows."""
    return _finite(request.value - request.baseline)


def deviation(request: AnalysisRequest) -> float | None:
    """Give the distance from the baseline in spreads, or None where there is no spread."""
    difference = change(request)
    if difference is None or request.spread <= 0:
        return None
    return _finite(difference / request.spread)


def change_percent(request: AnalysisRequest) -> float | None:
    """Give the change in percent of the baseline's size, or None where the baseline is 0."""
    difference = change(request)
    if difference is None or request.baseline == 0:
        return None
    return _finite(difference / abs(request.baseline) * 100)


def window_seconds(request: AnalysisRequest) -> float:
    """Give the length of the window in seconds."""
    return (request.window_end - request.window_start).total_seconds()


def _coarse(request: AnalysisRequest, grain: Grain) -> dict[str, object]:
    """Give the facts that are told coarsely, by name."""
    baseline, spread = _levels(request, grain)
    values = [sample.value for sample in request.samples]

    def told(value: float) -> float:
        distance = _finite((value - request.baseline) / request.spread) if request.spread > 0 else None
        place = None if distance is None else _finite(baseline + grain.distance(distance) * spread)
        return quantise(grain.level(value) if place is None else place)

    value, away = told(request.value), deviation(request)
    percent = None if baseline == 0 else _finite((value - baseline) / abs(baseline) * 100)
    return {
        "value": value,
        "baseline": baseline,
        "spread": spread,
        "deviation": None if away is None else quantise(grain.distance(away), DERIVED_DIGITS),
        "change_percent": _quantised(percent, DERIVED_DIGITS),
        "low": told(min(values)) if values else None,
        "high": told(max(values)) if values else None,
        "first": told(values[0]) if values else None,
        "last": told(values[-1]) if values else None,
        "samples": int(quantise(len(values), COARSE_DIGITS)),
        "window_s": quantise(window_seconds(request), COARSE_DIGITS),
        "shape": tuple(_whole(grain.distance(one)) for one in _shape(values, request.baseline, request.spread)),
    }


def _levels(request: AnalysisRequest, grain: Grain) -> tuple[float, float]:
    """Give the baseline and the spread coarsely. A baseline around zero is known by spreads, not by its own size."""
    spread = quantise(grain.level(request.spread))
    if spread > 0 and abs(request.baseline) < NEAR_ZERO * spread:
        return quantise(round(request.baseline / spread) * spread), spread
    return quantise(grain.level(request.baseline)), spread


def _shape(values: Sequence[float], baseline: float, spread: float) -> tuple[float, ...]:
    """Give the means of equal steps in spreads from the baseline."""
    if not values or spread <= 0:
        return ()
    steps = min(SHAPE_STEPS, len(values))
    edges = [len(values) * step // steps for step in range(steps + 1)]
    pieces = (values[start:end] for start, end in pairwise(edges))
    # Each value is divided first: a sum of huge values overflows.
    means = (sum(value / len(piece) for value in piece) for piece in pieces)
    distances = ((mean - baseline) / spread for mean in means)
    # It may be infinite; inf - inf cannot occur among finite values.
    return tuple(distances)


def _whole(distance: float) -> int:
    return round(max(-SHAPE_LIMIT, min(SHAPE_LIMIT, distance)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _quantised(value: float | None, digits: int = DIGITS) -> float | None:
    return None if value is None else quantise(value, digits)
