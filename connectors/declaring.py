"""How metrics are declared: each once, with its type, unit, help and labels, in a list that can be looked through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric: `unit` is what its values count, where that is more than a number of things."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which Prometheus keeps it."""
        if self.kind == "counter":
            return (f"{self.name}_total",)
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


DECLARED: Final[list[Declared]] = []


def counter(name: str, says: str, labels: Sequence[str] = (), unit: str = "") -> Counter:
    """Declare what only grows."""
    DECLARED.append(Declared(name, "counter", unit, says, tuple(labels)))
    return Counter(name, says, labels)


def gauge(name: str, says: str, labels: Sequence[str] = (), unit: str = "") -> Gauge:
    """Declare what goes up and down."""
    DECLARED.append(Declared(name, "gauge", unit, says, tuple(labels)))
    return Gauge(name, says, labels)


def histogram(
    name: str, says: str, labels: Sequence[str] = (), unit: str = "", *, buckets: Sequence[float]
) -> Histogram:
    """Declare what is counted by how much it was."""
    DECLARED.append(Declared(name, "histogram", unit, says, tuple(labels)))
    return Histogram(name, says, labels, buckets=buckets)
