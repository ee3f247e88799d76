"""What a bench found: figures, ratios between them, and goals; as one JSON object, and as tables for people."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.table import Table

# Digits that a figure is given with; what follows them is noise.
DIGITS = 4
NONE = "-"


class Direction(StrEnum):
    """On which side of its goal a value has to be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of one system, measured any number of times. No value at all: it could not be measured."""

    system: str
    metric: str
    unit: str
    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """How many times it was measured."""
        return len(self.values)

    @property
    def median(self) -> float | None:
        """The middle value."""
        return statistics.median(self.values) if self.values else None

    @property
    def min(self) -> float | None:
        """The smallest value."""
        return min(self.values, default=None)

    @property
    def max(self) -> float | None:
        """The largest value."""
        return max(self.values, default=None)

    def to_json(self) -> dict[str, object]:
        """Give the object of the design: the unit is that of median, min and max, which are null without a value."""
        return {
            "system": self.system,
            "metric": self.metric,
            "unit": self.unit,
            "median": rounded(self.median),
            "min": rounded(self.min),
            "max": rounded(self.max),
            "n": self.n,
        }


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that has to be reached. Without a value it is not met."""

    name: str
    value: float | None
    goal: float
    direction: Direction = Direction.AT_LEAST

    @property
    def met(self) -> bool:
        """Whether the value, as measured and not as rounded, is on the right side; being equal is."""
        if self.value is None:
            return False
        return self.value >= self.goal if self.direction is Direction.AT_LEAST else self.value <= self.goal

    def to_json(self) -> dict[str, object]:
        """Give the object of the design."""
        return {"name": self.name, "value": rounded(self.value), "goal": self.goal, "met": self.met}


@dataclass(frozen=True, slots=True)
class Report:
    """All that a bench says. `versions` also names what could not be measured, with the reason."""

    bench: str
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    results: Sequence[Result]
    ratios: Mapping[str, float | None] = field(default_factory=dict)
    goals: Sequence[Goal] = ()

    def to_json(self) -> dict[str, object]:
        """Give the one object of `scripts/bench NAME --json`."""
        return {
            "bench": self.bench,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "results": [result.to_json() for result in self.results],
            "ratios": {name: rounded(value) for name, value in self.ratios.items()},
            "goals": [goal.to_json() for goal in self.goals],
        }

    def show(self, console: Console) -> None:
        """Print the tables."""
        console.print(", ".join(f"{name} {value}" for name, value in self.machine.items()), markup=False)
        console.print(", ".join(f"{name} {value}" for name, value in self.versions.items()), markup=False)
        console.print(self._results())
        if self.ratios:
            console.print(_table(f"{self.bench}: ratios", ("ratio", "value"), self._ratio_rows()))
        if self.goals:
            console.print(_table(f"{self.bench}: goals", ("goal", "value", "wanted", ""), self._goal_rows()))

    def _results(self) -> Table:
        rows = (
            (
                result.system,
                result.metric,
                shown(result.median),
                shown(result.min),
                shown(result.max),
                str(result.n),
                result.unit,
            )
            for result in self.results
        )
        return _table(f"{self.bench}: medians", ("system", "metric", "median", "min", "max", "n", "unit"), rows)

    def _ratio_rows(self) -> Iterable[tuple[str, ...]]:
        return ((name, shown(value)) for name, value in self.ratios.items())

    def _goal_rows(self) -> Iterable[tuple[str, ...]]:
        for goal in self.goals:
            wanted = f"{goal.direction} {shown(goal.goal)}"
            yield goal.name, shown(goal.value), wanted, "met" if goal.met else "not met"


def ratio(value: float | None, other: float | None) -> float | None:
    """Divide; None where one of the two was not measured."""
    return value / other if value is not None and other else None


def rounded(value: float | None) -> float | None:
    """Keep as many digits as mean something."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


def shown(value: float | None) -> str:
    """Write a figure for people: 165,300 or 2.31, and a dash for none."""
    short = rounded(value)
    if short is None:
        return NONE
    return f"{short:,.0f}" if abs(short) >= 10 ** (DIGITS - 1) else f"{short:g}"


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    numbers = {"median", "min", "max", "n", "value"}
    for head in heads:
        table.add_column(head, justify="right" if head in numbers else "left")
    for row in rows:
        table.add_row(*row)
    return table
