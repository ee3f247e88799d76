from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from connectors.timescale.store import Store
from schemas.fields import Severity, Source, deterministic_id
from schemas.models import Insight

pytestmark = pytest.mark.database

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def insight(**changes: object) -> Insight:
    fields: dict[str, object] = {
        "id": deterministic_id("insight", "1"),
        "request_id": deterministic_id("request", "1"),
        "region": "eu",
        "tenant": "acme",
        "device_id": "pump-7",
        "metric": "température °C",
        "window_start": NOON - timedelta(hours=1),
        "window_end": NOON,
        "kind": "level",
        "severity": Severity.CRITICAL,
        "summary": "It got hot: '91' \"°C\"; a\nnew line.",
        "probable_causes": ("a bearing", ""),
        "recommended_actions": (),
        "confidence": 0.1 + 0.2,
        "source": Source.MODEL,
        "model": "m-1",
        "prompt_hash": "abc",
        "prompt_tokens": 2**40,
        "completion_tokens": 7,
        "cost_usd": 1e-9,
        "topic": "readings",
        "partition": 3,
        "first_offset": 2**53 + 1,
        "last_offset": 2**62,
        "latency_s": 1.25,
        "created": NOON,
    }
    return Insight.model_validate(fields | changes)


@pytest.mark.parametrize(
    "given",
    [
        insight(),
        insight(model=None, prompt_hash=None, source=Source.RULES, region="", tenant="", prompt_tokens=0),
        insight(window_start=datetime(1, 1, 1, tzinfo=UTC), window_end=datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_an_insight_comes_back_as_it_was(store: Store, given: Insight) -> None:
    assert store.store_insight(given) == given
    assert store.insight(given.id) == given


def test_the_first_one_stands(store: Store) -> None:
    first = store.store_insight(insight(summary="first"))
    assert store.store_insight(insight(summary="second", confidence=1.0)) == first
    assert store.insight(first.id) == first
    other = insight(id=deterministic_id("insight", "2"), summary="of another window")
    assert store.store_insight(other) == other


def test_there_is_none(store: Store) -> None:
    assert store.insight(deterministic_id("insight", "none")) is None


def test_of_many_at_once_one_stands_for_all(open_store: Callable[..., Store], in_thread: ThreadPoolExecutor) -> None:
    def keep(number: int) -> Insight:
        return open_store().store_insight(insight(summary=str(number)))

    assert len(set(in_thread.map(keep, range(8)))) == 1
