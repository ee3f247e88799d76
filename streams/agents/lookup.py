"""The window of a summary or a question, read from the table: what was, against what had been before.

The value is the window's mean. The baseline and the spread are the mean and the standard deviation of the means of the
windows before it, each as long; where there were fewer than two, the spread is that within the window.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, timedelta
from statistics import fmean, stdev
from typing import Final

from connectors.timescale.devices import DeviceKnown
from connectors.timescale.store import Store
from connectors.timescale.windows import Bucket, Window
from schemas.errors import PoisonError
from schemas.fields import Direction, Severity
from schemas.models import MAX_ASKED, AnalysisRequest, Sample

# How many windows before are compared with, and how far back they may reach.
WINDOWS_BEFORE: Final = 7
LONGEST_BEFORE: Final = timedelta(days=28)
FIRST_YEAR, LAST_YEAR = MINYEAR + 1, MAXYEAR - 1
# From how many spreads on a mean is called higher or lower, and a warning.
MOVED, WARNS = 1.0, 3.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the table has for one request."""

    window: Window
    buckets: Sequence[Bucket]
    before: Sequence[Bucket]
    device: DeviceKnown


def is_needed(request: AnalysisRequest) -> bool:
    """Say whether the request leaves its window to whoever answers it."""
    return not request.topic


def check(request: AnalysisRequest) -> None:
    """Refuse a window that nobody should look up.

    Raises:
        PoisonError: it ends before it begins, is too long, or stands where the calendar ends.

    """
    start, end = request.window_start, request.window_end
    if not (timedelta(0) < end - start <= MAX_ASKED and start.year >= FIRST_YEAR and end.year <= LAST_YEAR):
        asked = f"{start.isoformat()} to {end.isoformat()}"
        raise PoisonError("window", f"{asked}: up to {MAX_ASKED.days} days are looked up")


def look_up(store: Store, requests: Sequence[AnalysisRequest]) -> list[AnalysisRequest]:
    """Give the requests with what the table says of their windows and devices; without readings, without samples."""
    windows = [Window(one.device_id, one.metric, one.window_start, one.window_end).aligned() for one in requests]
    read = store.windows([*windows, *map(_before, windows)])
    known = store.devices(sorted({window.device_id for window in windows}))
    return [
        filled(request, Found(window, buckets, before, known.get(window.device_id, DeviceKnown())))
        for request, window, buckets, before in zip(
            requests, windows, read[: len(windows)], read[len(windows) :], strict=True
        )
    ]


def filled(request: AnalysisRequest, found: Found) -> AnalysisRequest:
    """Put what was found into the request."""
    means = [bucket.mean for bucket in found.buckets if bucket.mean is not None]
    value = _mean(found.buckets) or 0.0
    earlier = _means_before(found)
    baseline = fmean(earlier) if earlier else value
    compared = earlier if len(earlier) > 1 else means
    spread = stdev(compared) if len(compared) > 1 else 0.0
    away = (value - baseline) / spread if spread > 0 else 0.0
    return request.model_copy(
        update={
            "tenant": found.device.tenant,
            "device_class": found.device.device_class,
            "unit": found.device.units.get(request.metric, ""),
            "direction": Direction.NONE if abs(away) < MOVED else Direction.UP if away > 0 else Direction.DOWN,
            "severity": Severity.WARNING if len(earlier) > 1 and abs(away) >= WARNS else Severity.INFO,
            "value": value,
            "baseline": baseline,
            "spread": spread,
            "window_start": found.window.start,
            "window_end": found.window.end,
            "samples": tuple(_samples(found.buckets)),
        }
    )


def _before(window: Window) -> Window:
    length = min(WINDOWS_BEFORE * (window.end - window.start), LONGEST_BEFORE)
    return Window(window.device_id, window.metric, window.start - length, window.start)


def _means_before(found: Found) -> list[float]:
    """Give the means of the windows before, those that have any readings."""
    length = found.window.end - found.window.start
    width = _before(found.window).width
    by_window: dict[int, list[Bucket]] = {}
    for bucket in found.before:
        # The last bucket of those before may reach into the window.
        if bucket.start + width <= found.window.start:
            by_window.setdefault((found.window.start - bucket.start - width) // length, []).append(bucket)
    means = (_mean(buckets) for buckets in by_window.values())
    return [mean for mean in means if mean is not None]


def _mean(buckets: Iterable[Bucket]) -> float | None:
    counted = [(bucket.mean, bucket.count) for bucket in buckets if bucket.mean is not None]
    if not counted:
        return None
    return math.fsum(mean * count for mean, count in counted) / sum(count for _, count in counted)


def _samples(buckets: Sequence[Bucket]) -> Iterable[Sample]:
    """Give each bucket's mean; but where the window's lowest and highest value were, these."""
    if not buckets:
        return
    lowest = min(buckets, key=lambda bucket: bucket.low)
    highest = max(buckets, key=lambda bucket: bucket.high)
    for bucket in buckets:
        extremes = {bucket.low} if bucket is lowest else set()
        extremes |= {bucket.high} if bucket is highest else set()
        for value in sorted(extremes) or [bucket.mean if bucket.mean is not None else bucket.low]:
            yield Sample(ts=bucket.start, value=value)
