"""The scoring rule of the Numenta Anomaly Benchmark, from Lavin and Ahmad 2015 (arXiv 1510.03336), section II.

An alarm inside a labelled window earns the more the earlier it comes, and only the first counts; one outside costs the
more the farther it is behind the last window; a window without an alarm costs a fixed amount. The sum over all series
is put on a scale on which a detector that never raises an alarm has 0 and a perfect one 100. Nothing in the
probationary period at the start of a series counts.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas.errors import TidegateError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Of a series of up to so many rows this part is probation; of a longer one no more rows than that, as in the
# benchmark's own code.
PROBATION, LONGEST = 0.15, 5000
# Farther behind a window than so many of its lengths, an alarm costs all that one can.
FAR = 3.0
STEEPNESS = 5.0
LABELS = "windows.json"


class DataError(TidegateError):
    """The folder does not hold series and labels in the benchmark's layout."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What an application cares about: the weights of false alarms and of missed windows, a found one being 1."""

    name: str
    false_alarm: float
    missed: float


STANDARD = Profile("nab_standard", 0.11, 1.0)
LOW_FP = Profile("nab_low_fp", 0.22, 1.0)
LOW_FN = Profile("nab_low_fn", 0.11, 2.0)
PROFILES = (STANDARD, LOW_FP, LOW_FN)


@dataclass(frozen=True, slots=True)
class Series:
    """One labelled file. `windows` are the first and the last row of each, in order; `ts` is in microseconds."""

    name: str
    ts: Ints
    values: Floats
    windows: Sequence[tuple[int, int]]

    @property
    def probation(self) -> int:
        """How many rows at the start do not count."""
        return int(PROBATION * min(len(self.values), LONGEST))

    def worth(self) -> tuple[Floats, Ints]:
        """Say of each row what an alarm there is worth, before weights, and in which window it is (-1: in none)."""
        worth, inside = np.full(len(self.values), -1.0), np.full(len(self.values), -1, dtype=np.int64)
        rows = np.arange(len(self.values))
        for number, (first, last) in enumerate(self.windows):
            length = last - first + 1
            # Past the window; what is behind the next one is overwritten by it.
            worth[last + 1 :] = _behind((rows[last + 1 :] - last) / max(length - 1, 1))
            here = slice(first, last + 1)
            worth[here] = _sigmoid((rows[here] - last - 1) / length) / _sigmoid(np.float64(-1.0))
            inside[here] = number
        return worth, inside


def _sigmoid(place: "Floats | np.float64") -> Floats:
    return np.asarray(2.0 / (1.0 + np.exp(STEEPNESS * place)) - 1.0)


def _behind(lengths: Floats) -> Floats:
    return np.where(lengths > FAR, -1.0, _sigmoid(np.minimum(lengths, FAR)))


def read(folder: Path) -> list[Series]:
    """Read every labelled series of a folder: `<group>/<file>.csv` and `windows.json`.

    Raises:
        DataError: a file is missing or is not what it should be; the message says which.

    """
    labels = folder / LABELS
    try:
        windows: dict[str, list[list[str]]] = json.loads(labels.read_text(encoding="utf-8"))
        return [_series(folder, name, spans) for name, spans in sorted(windows.items())]
    except FileNotFoundError as error:
        raise DataError(
            f"There is no {error.filename}. --data takes a folder in the layout of the Numenta Anomaly Benchmark: "
            f"<group>/<file>.csv, and {LABELS} with the labelled windows of each."
        ) from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{folder} is not in the layout of the Numenta Anomaly Benchmark: {error}") from error


def _series(folder: Path, name: str, spans: Iterable[Sequence[str]]) -> Series:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        rows = [(_micros(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    ts = np.array([at for at, _ in rows], dtype=np.int64)
    windows = []
    for begin, end in spans:
        first = int(np.searchsorted(ts, _micros(begin)))
        last = int(np.searchsorted(ts, _micros(end), side="right")) - 1
        if last < first:
            raise DataError(f"{name} has no row in its window from {begin} to {end}")
        windows.append((first, last))
    return Series(name, ts, np.array([value for _, value in rows]), sorted(windows))


def _micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def score(corpus: Sequence[Series], scores: Sequence[Floats], profile: Profile, threshold: float) -> float:
    """Score a detector that raises an alarm at every row whose score is at least `threshold`."""
    total = 0.0
    for series, found in zip(corpus, scores, strict=True):
        worth, inside = series.worth()
        counted = np.arange(len(found)) >= series.probation
        alarms = np.flatnonzero((found >= threshold) & counted)
        total += profile.false_alarm * float(worth[alarms[inside[alarms] < 0]].sum())
        for number in range(len(series.windows)):
            hits = alarms[inside[alarms] == number]
            total += float(worth[hits[0]]) if len(hits) else -profile.missed
    return _normal(total, corpus, profile)


def best(corpus: Sequence[Series], scores: Sequence[Floats], profile: Profile) -> tuple[float, float]:
    """Find the one threshold for the whole corpus that scores best; give the score and the threshold.

    Alarms are added from the highest score down, so each threshold costs what it adds.
    """
    parts = []
    windows = 0
    for series, found in zip(corpus, scores, strict=True):
        worth, inside = series.worth()
        rows = slice(series.probation, None)
        parts.append((found[rows], worth[rows], np.where(inside[rows] < 0, -1, inside[rows] + windows)))
        windows += len(series.windows)
    found, worth, inside = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    earned = np.full(windows, -profile.missed)
    total = most = float(earned.sum())
    at = float("inf")
    order = np.argsort(-found, kind="stable")
    ends = np.append(found[order][1:] != found[order][:-1], [True])
    for row, ends_here in zip(order.tolist(), ends.tolist(), strict=True):
        window = int(inside[row])
        if window < 0:
            total += profile.false_alarm * float(worth[row])
        elif worth[row] > earned[window]:
            total += float(worth[row] - earned[window])
            earned[window] = worth[row]
        if ends_here and total > most:
            most, at = total, float(found[row])
    return _normal(most, corpus, profile), at


def _normal(total: float, corpus: Sequence[Series], profile: Profile) -> float:
    windows = sum(len(series.windows) for series in corpus)
    nothing, perfect = -profile.missed * windows, 1.0 * windows
    return 100.0 * (total - nothing) / (perfect - nothing) if windows else 0.0
