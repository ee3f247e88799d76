"""Summaries of a worker whose endpoint takes batches: the real processes and servers."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from schemas.models import Reading
from tests.e2e.conftest import Flow, eventually
from tests.fakes.stand_in import StandIn

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300), pytest.mark.within_a_day(seconds=100)]

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DEVICES = [f"pump-{number}" for number in range(12)]


def test_an_hour_is_summed_up_in_one_batch_at_half_the_price(flow: Flow, stand_in: StandIn) -> None:
    now = datetime.now(UTC)
    due = (now - 5 * MINUTE).replace(minute=0, second=0, microsecond=0) - HOUR
    ingest = flow.start("worker", "--lane", "ingest")
    flow.produce(
        [
            Reading(device_id=device, ts=due + minute * MINUTE, metrics={"pressure": 5.0 + minute % 7 / 10})
            for device in DEVICES
            # Two hours: five minutes past an hour, while this runs, the next one is due instead.
            for minute in range(0, 120, 6)
            if due + minute * MINUTE < now
        ]
    )
    eventually(flow.drained, "readings are stored")
    flow.fetch("insert into schedules values ('/hourly-summary', %s) returning 1", due)
    endpoint = {"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1", "batch": True}
    workers = [
        flow.start(
            "worker",
            "--lane",
            "analyze",
            TIDEGATE_ANALYZE__SUMMARIES="hour",
            TIDEGATE_LLM__ENDPOINTS=json.dumps([endpoint | {"input_usd": 1, "output_usd": 1}]),
            TIDEGATE_LLM__BUDGET_USD_PER_DAY="1",
        )
        for _ in range(2)
    ]
    waiting = "select count(*) from batch_items where state = 'waiting'"
    eventually(lambda: flow.fetch(waiting) == [(len(DEVICES),)], "all wait for a batch")
    # No further hour, and as if it were a minute later.
    flow.fetch("update schedules set next_start = next_start + interval '1 day' returning 1")
    flow.fetch("update batch_items set created = created - interval '1 min' returning 1")
    told = "select source, model, kind, count(*) from insights where kind like '%summary' group by 1, 2, 3"
    done = [("model", "test-1-stand-in", "hourly-summary", len(DEVICES))]
    eventually(lambda: flow.fetch(told) == done, "all are answered")
    (lines,) = stand_in.lines().values()
    assert len(lines) == 1
    assert [one["path"] for one in stand_in.requests() if one["path"].endswith("completions")] == []
    eventually(lambda: flow.fetch("select count(*) from batch_items") == [(0,)], "nothing is left")
    (spent,) = flow.fetch("select sum(prompt_tokens + completion_tokens) / 2e6, sum(usd)::float8 from spend")
    assert float(spent[1]) == pytest.approx(float(spent[0]))
    (cost,) = flow.fetch("select sum(cost_usd) from insights")
    assert cost[0] == pytest.approx(float(spent[1]))
    for process in (*workers, ingest):
        assert process.terminate() == 0
    assert [float(usd) for (usd,) in flow.fetch("select granted from budgets where scope = 'total'")] == [
        pytest.approx(float(spent[1]))
    ], "the rest is given back"
