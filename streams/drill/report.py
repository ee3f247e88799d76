"""What a drill found: one JSON object, and tables for people."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass
class Disaster:
    """What was done to a region, and how it went."""

    name: str
    # Until every device of the region was accepted elsewhere and its reading stored there; None: nobody had to move.
    out_s: float | None = None
    # From the end of it until both databases had all that had been accepted by then.
    healed_s: float = 0.0
    # Of what was accepted, so much was in no other region when it began: in seconds before that, and readings.
    behind_s: float = 0.0
    behind: int = 0
    accepted: int = 0  # while it lasted


@dataclass
class Report:
    """All that a drill says."""

    rto_s: float = 0.0
    rpo_s: float = 0.0
    accepted: int = 0
    lost: int = 0
    duplicated: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    disasters: list[Disaster] = field(default_factory=list)
    mirrored_ms: dict[str, float] = field(default_factory=dict)  # p50, p99 and the most, from acceptance to arrival
    checks: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Give the design's object, and what else was found."""
        found = asdict(self)
        return found | {name: round(found[name], 2) for name in ("rto_s", "rpo_s", "seconds")}

    def show(self, console: Console) -> None:
        """Print the tables."""
        heads = ("disaster", "accepted", "moved, s", "behind", "behind, s", "healed, s")
        rows = [
            (
                one.name,
                f"{one.accepted:,}",
                "" if one.out_s is None else f"{one.out_s:.1f}",
                f"{one.behind:,}",
                f"{one.behind_s:.2f}",
                f"{one.healed_s:.1f}",
            )
            for one in self.disasters
        ]
        console.print(_table(heads, rows))
        told = {**self.checks, **{f"rows in {name}": rows for name, rows in self.rows.items()}}
        console.print(_table(("seen in the end", "count"), [(name, f"{count:,}") for name, count in told.items()]))
        for violation in self.violations:
            console.print(f"VIOLATED: {violation}", markup=False, soft_wrap=True)
        mirrored = " · ".join(f"{name} {value:,.0f} ms" for name, value in self.mirrored_ms.items())
        console.print(f"from acceptance to the other region's Kafka: {mirrored}", markup=False)
        verdict = f"{len(self.violations)} violated" if self.violations else "all held"
        console.print(
            f"RTO {self.rto_s:.1f} s · RPO {self.rpo_s:.2f} s · {self.accepted:,} readings accepted"
            f" · {self.lost} lost · {self.duplicated} duplicated · {self.seconds:.0f} s · {verdict}",
            markup=False,
        )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table()
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table
