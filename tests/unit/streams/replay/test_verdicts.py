"""Which verdicts have changed."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal

from schemas.fields import Severity, Source
from schemas.models import Insight
from streams.replay.verdicts import MOST_CHANGES, Report

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def said(summary: str, severity: Severity = Severity.INFO, cost_usd: float = 0.0, model: str | None = "m") -> Insight:
    return Insight(
        id=str(uuid.uuid4()),
        request_id=str(uuid.uuid4()),
        device_id="pump-1",
        metric="pressure",
        window_start=START,
        window_end=START,
        kind="spike",
        severity=severity,
        summary=summary,
        confidence=0.5,
        source=Source.RULES if model is None else Source.MODEL,
        model=model,
        cost_usd=cost_usd,
        topic="readings",
        partition=0,
        first_offset=0,
        last_offset=1,
        latency_s=0.0,
        created=START,
    )


def test_other_words_are_the_same_verdict_and_another_severity_or_direction_is_not() -> None:
    report = Report()
    report.add(said("The pressure rose."), said("It went up.", cost_usd=0.1))
    report.add(said("The pressure rose.", model=None), said("The pressure rose.", Severity.CRITICAL, 0.2))
    report.add(said("The pressure rose."), said("The pressure fell."))
    assert report.verdicts == {"same": 1, "changed": 2}
    assert report.usd == Decimal("0.3")
    assert [(one.severity_then, one.severity_now, one.by_then, one.by_now) for one in report.changes] == [
        ("info", "critical", "rules", "model m"),
        ("info", "info", "model m", "model m"),
    ]


def test_all_are_counted_and_the_first_are_told() -> None:
    report = Report()
    for _ in range(MOST_CHANGES + 1):
        report.add(said("It rose."), said("It fell."))
    assert report.verdicts["changed"] == MOST_CHANGES + 1
    assert len(report.changes) == MOST_CHANGES
