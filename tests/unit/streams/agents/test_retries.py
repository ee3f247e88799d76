"""When a request is tried again, and until when; what is due is handed over page by page."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.producer import DeliveryError, Outgoing
from connectors.kafka.producer import Producer as KafkaProducer
from connectors.timescale.store import Store as RealStore
from connectors.timescale.tasks import PAGE, Due
from schemas.fields import Severity, deterministic_id
from schemas.models import AnalysisRequest
from streams.agents.retries import LONGEST_S, PATIENCE, Kind, Retries, delay_s, kind_of, next_due
from tests.fakes.hand_clock import START, HandClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def request(**change: object) -> AnalysisRequest:
    """Make a summary, unless something else is asked for."""
    made = AnalysisRequest.of_table(
        request_id=deterministic_id("request", "pump-1"),
        region="",
        device_id="pump-1",
        metric="t",
        kind="hourly-summary",
        window=(NOON - timedelta(hours=1), NOON),
    )
    return made.model_copy(update={"severity": Severity.WARNING, **change})


REQUESTS = {
    Kind.ALARM: request(topic="readings", kind="pattern"),
    Kind.SUMMARY: request(),
    Kind.QUESTION: request(kind="question", question="Is it hot?"),
}


@pytest.mark.parametrize("kind", Kind)
def test_what_kind_a_request_is_of(kind: Kind) -> None:
    assert kind_of(REQUESTS[kind]) is kind


def test_the_delay_doubles_up_to_a_minute() -> None:
    delays = [delay_s("some id", attempts, None) for attempts in range(1, 9)]
    for delay, longest in zip(delays, [2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert 0.75 * longest <= delay <= longest


@given(st.text(), st.integers(1, 10**9), st.none() | st.floats(0, 1e9))
def test_an_endpoint_that_asks_for_a_pause_gets_it_if_it_is_no_longer_than_a_minute(
    key: str, attempts: int, asked_s: float | None
) -> None:
    delay = delay_s(key, attempts, asked_s)
    assert min(asked_s or 0.0, LONGEST_S) <= delay <= LONGEST_S
    assert delay == delay_s(key, attempts, asked_s)


def test_requests_that_were_postponed_together_do_not_come_back_together() -> None:
    assert len({round(delay_s(str(number), 1, 5.0), 1) for number in range(1000)}) > 10


@pytest.mark.parametrize(("kind", "seconds"), [(Kind.ALARM, 60), (Kind.SUMMARY, 60), (Kind.QUESTION, 600)])
def test_when_it_would_be_too_late_there_is_no_next_time(kind: Kind, seconds: int) -> None:
    asked, since = REQUESTS[kind], NOON
    due = next_due(asked, attempts=1, since=since, asked_s=None, now=NOON)
    assert due is not None
    latest = since + timedelta(seconds=seconds) - (due - NOON)
    assert next_due(asked, attempts=1, since=since, asked_s=None, now=latest) == since + PATIENCE[kind]
    assert next_due(asked, attempts=1, since=since, asked_s=None, now=latest + timedelta(seconds=0.001)) is None


@pytest.mark.parametrize(("kind", "most"), [(Kind.ALARM, 6), (Kind.SUMMARY, 6), (Kind.QUESTION, 18)])
def test_how_often_a_request_is_tried_is_bounded(kind: Kind, most: int) -> None:
    now: datetime | None = NOON
    attempts = 0
    while now is not None:
        attempts += 1
        now = next_due(REQUESTS[kind], attempts=attempts, since=NOON, asked_s=0.0, now=now)
    assert most - 3 <= attempts <= most


class Producer:
    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.away = False

    def publish(self, records: Iterable[Outgoing]) -> None:
        if self.away:
            raise DeliveryError
        self.published += records


class Store:
    """Has so many tasks that are due, and takes a second for each page."""

    def __init__(self, due: int) -> None:
        self.clock = HandClock()
        self.due = due
        self.looked: list[datetime] = []

    def queue_due_tasks(self, now: datetime, hand_over: Callable[[Sequence[Due]], None]) -> int:
        self.looked.append(now)
        self.clock.move(1)
        page = [Due(f"id-{number}", f"pump-{number}", b"%d" % number) for number in range(min(self.due, PAGE))]
        if page:
            hand_over(page)
        self.due -= len(page)
        return len(page)


def retries(store: Store, producer: Producer) -> Retries:
    return Retries(cast("RealStore", store), cast("KafkaProducer", producer), store.clock)


async def test_where_nothing_is_due_nothing_happens() -> None:
    store, producer = Store(0), Producer()
    assert not await retries(store, producer).look()
    assert producer.published == []
    assert len(store.looked) == 1


async def test_all_that_is_due_is_published_as_it_was() -> None:
    store, producer = Store(2 * PAGE + 1), Producer()
    assert await retries(store, producer).look()
    assert producer.published == [
        Outgoing("analysis-requests", b"pump-%d" % number, b"%d" % number) for number in (*range(PAGE), *range(PAGE), 0)
    ]
    # What comes due meanwhile is for the next look, or this one might never end.
    assert store.looked == [START] * 3


async def test_while_kafka_is_away_they_stay_due() -> None:
    store, producer = Store(1), Producer()
    producer.away = True
    looks = retries(store, producer)
    assert not await looks.look()
    producer.away = False
    assert await looks.look()
    assert len(producer.published) == 1
