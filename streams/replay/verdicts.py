"""What is said of alarms and questions today, beside what was said of them then: which verdicts changed."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from schemas.models import Insight
from streams.agents.agreeing import agree

SAME: Final = "same"
CHANGED: Final = "changed"
# So many are told one by one.
MOST_CHANGES: Final = 1_000


class Change(NamedTuple):
    """A verdict then and now; `insight` is the id of the one that stands, and goes on to stand."""

    insight: str
    device: str
    metric: str
    ts: datetime
    kind: str
    severity_then: str
    severity_now: str
    summary_then: str
    summary_now: str
    by_then: str
    by_now: str


@dataclass(slots=True)
class Report:
    """What was found so far: `verdicts` counts answers, `without` those requests that have none, by the reason."""

    verdicts: Counter[str] = field(default_factory=Counter)
    without: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    usd: Decimal = Decimal(0)

    def add(self, then: Insight, now: Insight) -> None:
        """Compare what stands with what is said now: by their severity, and what they say (`agree`)."""
        self.sources[now.source] += 1
        self.usd += Decimal(str(now.cost_usd))
        if agree(then, now):
            self.verdicts[SAME] += 1
            return
        self.verdicts[CHANGED] += 1
        if len(self.changes) < MOST_CHANGES:
            self.changes.append(
                Change(
                    insight=then.id,
                    device=then.device_id,
                    metric=then.metric,
                    ts=then.window_end,
                    kind=then.kind,
                    severity_then=then.severity,
                    severity_now=now.severity,
                    summary_then=then.summary,
                    summary_now=now.summary,
                    by_then=_by(then),
                    by_now=_by(now),
                )
            )


def _by(insight: Insight) -> str:
    return insight.source if insight.model is None else f"{insight.source} {insight.model}"
