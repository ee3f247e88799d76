"""Every setting is shown with where it came from, and no secret is."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from streams.doctor.clocks import finding, skew_s
from streams.doctor.explain import HIDDEN, Explained, explain
from streams.settings import load


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Explained]:
    given = {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
        "tidegate_database__url": "postgresql://u:hunter2@db/x",
        "TIDEGATE_INGEST": json.dumps({"batch_records": 100}),
        "TIDEGATE_DATA_DIR": "elsewhere",
        "OPENAI_API_KEY": "sk-hunter2",
        "TIDEGATE_WEBHOOKS": json.dumps(
            [{"name": "on-call", "url": "https://hunter2.example", "secret": "whsec_" + "a" * 44}]
        ),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return {one.name: one for one in explain(load())}


def test_each_comes_from_somewhere(told: dict[str, Explained]) -> None:
    def of(name: str) -> tuple[object, str]:
        return told[name].value, told[name].source

    assert of("TIDEGATE_KAFKA__BOOTSTRAP_SERVERS") == ("kafka:9092", "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS")
    assert of("TIDEGATE_DATABASE__URL") == (HIDDEN, "tidegate_database__url")
    assert of("TIDEGATE_INGEST__BATCH_RECORDS") == (100, "TIDEGATE_INGEST")
    assert of("TIDEGATE_DATA_DIR") == ("elsewhere", "TIDEGATE_DATA_DIR")
    assert of("TIDEGATE_LOG_LEVEL") == ("WARNING", "default")
    assert told["TIDEGATE_LLM__ENDPOINTS"].source == "OPENAI_API_KEY"
    assert told["TIDEGATE_WEBHOOKS"].source == "TIDEGATE_WEBHOOKS"


def test_no_secret_is_shown(told: dict[str, Explained]) -> None:
    shown = json.dumps([str(one.value) for one in told.values()])
    assert "hunter2" not in shown
    assert "whsec_" not in shown
    assert HIDDEN in shown


def test_clocks_that_are_apart_are_found() -> None:
    def clock(ahead_s: float) -> float:
        return skew_s(lambda: datetime.now(UTC) + timedelta(seconds=ahead_s))

    assert abs(clock(0.0)) < 1.0
    assert 59.0 < clock(60.0) <= 60.0
    assert -60.1 < clock(-60.0) < -59.0
    assert finding("Redis", 0.5).fine
    assert finding("Redis", 60.0).seen == "60.0 s ahead of ours"
    assert finding("Redis", -2.0).seen == "2.0 s behind ours"
