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


def keep(store: Store, given: Insight) -> Insight:
    """Store one, and give the one that stands."""
    return store.store_insights([given])[given.id]


def other(number: int, **changes: object) -> Insight:
    return insight(id=deterministic_id("insight", "other", str(number)), **changes)


@pytest.mark.parametrize(
    "given",
    [
        insight(),
        insight(model=None, prompt_hash=None, source=Source.RULES, region="", tenant="", prompt_tokens=0),
        insight(window_start=datetime(1, 1, 1, tzinfo=UTC), window_end=datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_an_insight_comes_back_as_it_was(store: Store, given: Insight) -> None:
    assert keep(store, given) == given
    assert store.insights([given.id]) == {given.id: given}


def test_the_first_one_stands(store: Store) -> None:
    first = keep(store, insight(summary="first"))
    assert keep(store, insight(summary="second", confidence=1.0)) == first
    assert store.insights([first.id]) == {first.id: first}
    assert keep(store, other(2, summary="of another window")).summary == "of another window"


def test_there_is_none(store: Store) -> None:
    assert store.insights([deterministic_id("insight", "none")]) == store.insights([]) == store.store_insights([]) == {}


def test_many_are_stored_at_once_and_those_that_stood_stay(store: Store) -> None:
    first = keep(store, other(3, summary="first"))
    given = [other(number, summary="second") for number in range(50)]

    stand = store.store_insights([*given, given[0]])

    assert stand == {one.id: first if one.id == first.id else one for one in given}
    assert store.insights([one.id for one in given] + [deterministic_id("insight", "none")]) == stand


def test_workers_that_store_the_same_ones_in_any_order_do_not_wait_for_each_other(
    open_store: Callable[..., Store], in_thread: ThreadPoolExecutor
) -> None:
    given = [other(number) for number in range(100)]

    def store_all(number: int) -> int:
        store = open_store(patience_s=0.001)  # no second attempt
        return sum(len(store.store_insights(given if number % 2 else given[::-1])) for _ in range(5))

    assert list(in_thread.map(store_all, range(4))) == [500] * 4


def test_of_many_at_once_one_stands_for_all(open_store: Callable[..., Store], in_thread: ThreadPoolExecutor) -> None:
    def keep_one(number: int) -> Insight:
        return keep(open_store(), insight(summary=str(number)))

    assert len(set(in_thread.map(keep_one, range(8)))) == 1
