"""A window as typed facts: what may be said about it, without saying which device or when.

Two requests with equal facts deserve the same answer, so the facts are quantised, and neither the device's id nor the
time of day is among them. Text that came from a device is cut to a length here; it is escaped where a prompt is made.
"""

import hashlib
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from pydantic import BaseModel, ConfigDict

from schemas.fields import Direction, Severity
from schemas.models import AnalysisRequest

# Significant digits of what was measured, and of what is computed from it.
DIGITS, DERIVED_DIGITS = 3, 2
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
    def of(cls, request: AnalysisRequest, earlier: Sequence[Turn] = ()) -> Self:
        """Take the facts from a request, and from what was said before it."""
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
            shape=_shape(values, request.baseline, request.spread),
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


def _shape(values: Sequence[float], baseline: float, spread: float) -> tuple[int, ...]:
    if not values or spread <= 0:
        return ()
    steps = min(SHAPE_STEPS, len(values))
    edges = [len(values) * step // steps for step in range(steps + 1)]
    pieces = (values[start:end] for start, end in pairwise(edges))
    # Each value is divided first: a sum of huge values overflows.
    means = (sum(value / len(piece) for value in piece) for piece in pieces)
    distances = ((mean - baseline) / spread for mean in means)
    # The limits come before the rounding, which refuses infinity; inf - inf cannot occur among finite values.
    return tuple(round(max(-SHAPE_LIMIT, min(SHAPE_LIMIT, distance))) for distance in distances)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _quantised(value: float | None, digits: int = DIGITS) -> float | None:
    return None if value is None else quantise(value, digits)
