"""What a soak found: one JSON object, and tables for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from scripts.soaks.workers import Exit

SHOWN = 10


@dataclass
class FaultFigures:
    """One kind of fault. Faults that were injected together share what they did."""

    name: str
    times: int = 0
    accepted: int = 0
    lost: int = 0
    duplicated: int = 0
    recover_s: float = 0.0  # the longest, from when the fault was over until all was stored that had been written


@dataclass
class Report:
    """All that a soak says."""

    seed: int
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    seconds: float = 0.0
    accepted: int = 0
    lost: int = 0
    duplicated: int = 0
    faults: list[FaultFigures] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    rss_mib: dict[str, float] = field(default_factory=dict)
    exits: Sequence[Exit] = ()
    violations: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        """How many faults there were."""
        return sum(fault.times for fault in self.faults)

    def to_json(self) -> dict[str, object]:
        """Give the design's object, and what else was found."""
        return {
            "accepted": self.accepted,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "faults": [{**asdict(fault), "recover_s": round(fault.recover_s, 1)} for fault in self.faults],
            "injected": self.injected,
            "seconds": round(self.seconds),
            "seed": self.seed,
            "checks": self.checks,
            "rss_mib": {name: round(rss) for name, rss in self.rss_mib.items()},
            "exits": [{**asdict(exit_), "times": times} for exit_, times in Counter(self.exits).items()],
            "violations": self.violations,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
        }

    def show(self, console: Console) -> None:
        """Print the tables."""
        for line in (self.machine, self.versions):
            console.print(", ".join(f"{name} {value}" for name, value in line.items()), markup=False)
        console.print(self._faults())
        console.print(self._checks())
        if self.exits:
            console.print(self._exits())
        for violation in self.violations:
            console.print(f"VIOLATED: {violation}", markup=False, soft_wrap=True)
        verdict = f"{len(self.violations)} violated" if self.violations else "all held"
        console.print(
            f"{self.accepted:,} readings accepted · {self.lost} lost · {self.duplicated} duplicated"
            f" · {self.injected} faults · {self.seconds / 60:.1f} minutes · seed {self.seed} · {verdict}",
            markup=False,
        )

    def _faults(self) -> Table:
        heads = ("fault", "times", "accepted meanwhile", "lost", "duplicated", "slowest recovery, s")
        rows = [
            (
                fault.name,
                str(fault.times),
                f"{fault.accepted:,}",
                str(fault.lost),
                str(fault.duplicated),
                f"{fault.recover_s:.1f}",
            )
            for fault in self.faults
        ]
        return _table("faults", heads, rows)

    def _checks(self) -> Table:
        rows = [(name, f"{value:,}") for name, value in self.checks.items()]
        rows += [(f"memory of {name}, MiB at most", f"{rss:,.0f}") for name, rss in sorted(self.rss_mib.items())]
        return _table("seen from outside", ("what", "count"), rows)

    def _exits(self) -> Table:
        kinds = Counter(
            (exit_.process.partition("-")[0], str(exit_.code), exit_.cause or "NONE", exit_.reason[:100])
            for exit_ in self.exits
        )
        rows = [(*kind, str(times)) for kind, times in sorted(kinds.items())]
        return _table("processes that ended", ("process", "code", "cause", "what it said", "times"), rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table
