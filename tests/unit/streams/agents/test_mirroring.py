"""Insights of other regions are stored once, and what cannot be read holds up none of the others."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import pytest
from prometheus_client import REGISTRY

from connectors.timescale.store import Store
from schemas.codec import encode
from schemas.fields import Severity, Source
from schemas.models import Insight
from streams.agents.mirroring import MirroredInsights
from tests.fakes.records import FakeRecord

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Kept:
    def __init__(self) -> None:
        self.stored: list[Sequence[Insight]] = []

    def store_insights(self, new: Sequence[Insight]) -> None:
        self.stored.append(new)


def came() -> float:
    return REGISTRY.get_sample_value("tidegate_mirrored_insights_total", {"home": "us"}) or 0.0


def insight(number: int) -> Insight:
    return Insight(
        id=f"00000000-0000-4000-8000-{number:012}",
        request_id=f"00000000-0000-4000-8000-{number:012}",
        region="us",
        device_id="pump-1",
        metric="pressure",
        window_start=NOW,
        window_end=NOW,
        kind="spike",
        severity=Severity.INFO,
        summary="The pressure rose.",
        confidence=0.5,
        source=Source.RULES,
        topic="readings",
        partition=0,
        first_offset=0,
        last_offset=1,
        latency_s=0.0,
        created=NOW,
    )


def record(at: int, value: bytes) -> FakeRecord:
    return FakeRecord(at, the_value=value, of_topic="us.insights")


def test_each_is_stored_once_and_who_cannot_be_read_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    before = came()
    one, other = insight(1), insight(2)
    records = [record(0, encode(one)), record(1, b"rubbish"), record(2, encode(other)), record(3, encode(one))]
    MirroredInsights(cast("Store", kept), ["us.insights"]).take(records)
    assert kept.stored == [[one, other]]
    assert came() == before + 3
    assert "us.insights[3] offset 1 cannot be read" in caplog.text


def test_nothing_is_stored_of_nothing() -> None:
    kept = Kept()
    MirroredInsights(cast("Store", kept), ["us.insights"]).take([record(0, b"rubbish")])
    assert kept.stored == []
