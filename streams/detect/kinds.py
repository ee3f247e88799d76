"""What an alarm is about, from the scores that raised it and the last readings."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from schemas.fields import Direction, Severity

RANGE, FLAT, MISSING = "range", "flat-line", "missing"
# How far from the level, in spreads, the value is that raises an alarm of this severity; or how many times the
# threshold the score is: where a series always moves a lot, the spreads of what never happened before are few.
WARNING_SPREADS, CRITICAL_SPREADS = 6.0, 12.0
WARNING_RATIO, CRITICAL_RATIO = 2.0, 4.0
# Further from the level than this many spreads, a reading has left it; closer than that, it is back.
AWAY_SPREADS, BACK_SPREADS = 4.0, 2.0
# So many readings on one side in a row are no spike any more.
STAYS_READINGS = 4
# A value that fell to this part of its level, or to nothing, has dropped out.
DROPPED = 0.05


class Found(NamedTuple):
    """What `streams.detect.light.advance` says of a reading that raised an alarm, in the order of its array."""

    ratio: float  # of the score that raised it, to its threshold
    deviation: float
    shift: float
    season: float
    pattern: float
    baseline: float
    spread: float
    flat: float  # 1.0: yes
    outside: float  # the same

    @classmethod
    def nothing(cls, ratio: float, baseline: float, spread: float) -> Self:
        """Say that no reading was found, but that one is missing."""
        return cls(ratio, 0.0, 0.0, 0.0, 0.0, baseline, spread, 0.0, 0.0)


def kind_of(found: Found, values: Sequence[float]) -> str:
    """Name the kind; `values` are the last readings, the one that raised the alarm at the end."""
    if found.outside:
        return RANGE
    if found.flat:
        return FLAT
    distances = [value - found.baseline for value in values]
    away = [abs(distance) > AWAY_SPREADS * found.spread for distance in distances]
    if not any(away):
        scores = {
            "pattern": found.pattern,
            "season": found.season,
            "level": found.shift,
            "variance": found.deviation,
        }
        return max(scores, key=scores.__getitem__)
    return _of_those_away(found, values[-1], distances, away)


def _of_those_away(found: Found, value: float, distances: Sequence[float], away: Sequence[bool]) -> str:
    sides = {distance > 0 for distance, is_away in zip(distances, away, strict=True) if is_away}
    if len(sides) > 1:
        return "variance"
    if abs(distances[-1]) < BACK_SPREADS * found.spread:
        return "spike"
    if sides == {False} and abs(value) <= DROPPED * found.baseline:
        return "dropout"
    stays = all(away[-STAYS_READINGS:]) and len(away) >= STAYS_READINGS
    return "level" if stays else "deviation"


def direction_of(kind: str, found: Found, value: float) -> Direction:
    """Say where the value went, seen from its level; a value that stays or is not there went nowhere."""
    if kind in {FLAT, MISSING} or value == found.baseline:
        return Direction.NONE
    return Direction.UP if value > found.baseline else Direction.DOWN


def severity_of(kind: str, found: Found, value: float) -> Severity:
    """Say how much it matters: by the distance from the level and the score, or because people set a limit."""
    distance = abs(value - found.baseline)
    far = distance > 0 and distance >= CRITICAL_SPREADS * found.spread
    # A silence only grows until it is noticed: how long that took says nothing of the device.
    score = 0.0 if kind == MISSING else found.ratio
    if far or score >= CRITICAL_RATIO:
        return Severity.CRITICAL
    warns = kind in {RANGE, MISSING} or (distance > 0 and distance >= WARNING_SPREADS * found.spread)
    return Severity.WARNING if warns or score >= WARNING_RATIO else Severity.INFO
