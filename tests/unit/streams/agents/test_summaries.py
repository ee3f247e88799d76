"""Summaries are asked for once a series and period, whoever asks and however often."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from connectors.kafka.producer import DeliveryError, Outgoing
from connectors.kafka.producer import Producer as KafkaProducer
from connectors.timescale.schedules import Schedule, Series, Work
from connectors.timescale.store import Store as RealStore
from schemas.codec import decode
from schemas.models import AnalysisRequest
from streams.agents import lookup
from streams.agents.summaries import Every, Summaries

NOON = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0


class Producer:
    def __init__(self, *, away: bool = False) -> None:
        self.published: list[Outgoing] = []
        self.away = away

    def publish(self, records: Sequence[Outgoing]) -> None:
        if self.away:
            raise DeliveryError
        self.published += records


class Store:
    """A schedule that is always due, with two pages of series."""

    def run_schedule(self, schedule: Schedule, now: datetime, work: Work) -> bool:
        work(schedule.latest(now), self.pages())
        return True

    @staticmethod
    def pages() -> Iterator[list[Series]]:
        yield [Series("pump-1", "t"), Series("pump-1", "p")]
        yield [Series("pump-2", "t")]


async def asked(every: Every, region: str = "eu") -> list[AnalysisRequest]:
    producer = Producer()
    store, written = cast("RealStore", Store()), cast("KafkaProducer", producer)
    assert await Summaries(store, written, Clock(), region=region, every=every).look()
    requests = [decode(record.value, AnalysisRequest) for record in producer.published]
    assert [record.key for record in producer.published] == [request.device_id.encode() for request in requests]
    assert {record.topic for record in producer.published} == {"analysis-requests"}
    return requests


@pytest.mark.parametrize(
    ("every", "start", "length"),
    [
        (Every.HOUR, datetime(2026, 3, 1, 11, tzinfo=UTC), timedelta(hours=1)),
        (Every.DAY, datetime(2026, 2, 28, tzinfo=UTC), timedelta(days=1)),
    ],
)
async def test_each_series_is_asked_about_for_the_last_period(every: Every, start: datetime, length: timedelta) -> None:
    requests = await asked(every)
    assert [(request.device_id, request.metric) for request in requests] == [
        ("pump-1", "t"),
        ("pump-1", "p"),
        ("pump-2", "t"),
    ]
    for request in requests:
        assert (request.window_start, request.window_end) == (start, start + length)
        assert request.question is None
        assert lookup.is_needed(request)
        lookup.check(request)


async def test_the_same_period_has_the_same_ids_and_another_region_or_length_others() -> None:
    ids = [request.id for request in await asked(Every.HOUR)]
    assert ids == [request.id for request in await asked(Every.HOUR)]
    others = [*(await asked(Every.DAY)), *(await asked(Every.HOUR, "us"))]
    assert len({*ids, *(request.id for request in others)}) == 9


async def test_while_kafka_is_away_summaries_stay_due() -> None:
    producer = Producer(away=True)
    store, written = cast("RealStore", Store()), cast("KafkaProducer", producer)
    summaries = Summaries(store, written, Clock(), region="", every=Every.HOUR)
    assert not await summaries.look()
    producer.away = False
    assert await summaries.look()
    assert len(producer.published) == 3
