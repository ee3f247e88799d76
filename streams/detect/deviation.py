"""How far a reading is from where its series usually is, and whether that is worth an alarm.

Exponentially weighted statistics whose gain is 1/(n+1) until it reaches 1/T (so the first readings count as a plain
mean). The distance from the level, in spreads, is averaged over a few readings and compared with its own long mean and
deviation: a noisy series has to deviate more than a calm one to be unusual.

Only additions, multiplications, divisions and square roots: IEEE 754 fixes their results, so a reading gives the same
state whichever batch it stands in.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.detect.state import RECENT, Indices

Floats = npt.NDArray[np.float64]

LEVEL_READINGS = 30
SPREAD_READINGS = 2000
SHORT_READINGS = 6
LONG_READINGS = 4000
# Before that many readings nothing is known about a series.
PROBATION = 300
# Level and spread of fewer readings say nothing: what deviates from them is not remembered as a deviation.
SETTLING_READINGS = 10
# An alarm less than this many readings after the last unusual one belongs to the same event.
REFRACTORY = 100
# In long deviations of the averaged distance.
THRESHOLD = 6.0
# A single distance counts for no more than this many spreads, or one absurd value would hide all that follow.
MOST_SPREADS = 50.0
# What a deviation counts for at the most, in long deviations of the averaged distance.
MOST_DEVIATIONS = 1e6
# Values are held to this for the statistics, so that no sum or product overflows. They are stored as they are.
MOST = 1e150


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found about each reading that was handed in, before it became part of the state."""

    z: Floats
    baseline: Floats
    spread: Floats
    alarm: npt.NDArray[np.bool_]


def update(rows: npt.NDArray[np.void], series: Indices, ts: Indices, values: Floats, offsets: Indices) -> Scored:
    """Score one reading of each of several different series, and take it into their state."""
    state = rows[series]
    seen = state["seen"]
    gain = 1.0 / (seen + 1.0)
    held = np.clip(values, -MOST, MOST)

    # Copies: a field is a view, and what was expected before this reading is what an alarm speaks of.
    level = state["level"].copy()
    spread = state["spread"].copy()
    distance = np.where(seen == 0, 0.0, np.abs(held - level))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spreads = np.where(
            spread > 0.0, np.minimum(distance / spread, MOST_SPREADS), np.where(distance > 0.0, MOST_SPREADS, 0.0)
        )
    spreads[seen < SETTLING_READINGS] = 0.0
    short = state["short"] + np.maximum(1.0 / SHORT_READINGS, gain) * (spreads - state["short"])
    excess = short - state["mean"]
    with np.errstate(divide="ignore", invalid="ignore"):
        # A series that never deviated has no deviation to measure the first one with.
        z = np.where(
            state["variance"] > 0.0,
            np.minimum(excess / np.sqrt(state["variance"]), MOST_DEVIATIONS),
            np.where(excess > 0.0, MOST_DEVIATIONS, 0.0),
        )

    unusual = (z >= THRESHOLD) & (seen >= PROBATION)
    alarm = unusual & (seen >= state["quiet_until"])

    long_gain = np.maximum(1.0 / LONG_READINGS, gain)
    state["mean"] += long_gain * excess
    state["variance"] += long_gain * (excess * excess - state["variance"])
    state["short"] = short
    state["level"] = level + np.maximum(1.0 / LEVEL_READINGS, gain) * (held - level)
    state["spread"] = spread + np.maximum(1.0 / SPREAD_READINGS, gain) * (distance - spread)
    state["quiet_until"] = np.where(unusual, seen + REFRACTORY + 1, state["quiet_until"])
    place = seen % RECENT
    each = np.arange(len(series))
    state["recent_ts"][each, place] = ts
    state["recent_value"][each, place] = values
    state["recent_offset"][each, place] = offsets
    state["last_ts"] = ts
    state["seen"] = seen + 1
    rows[series] = state
    return Scored(z, level, spread, alarm)
