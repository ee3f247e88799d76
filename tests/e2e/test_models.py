"""Workers that share a budget, a minute and a list of endpoints: the real processes and servers, a model that costs."""

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.models import AnalysisRequest, Sample
from tests.e2e.conftest import Flow, eventually
from tests.fakes.stand_in import StandIn

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.database,
    pytest.mark.redis,
    pytest.mark.timeout(300),
    pytest.mark.within_a_day(seconds=100),
]

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
# Dollars, at one for a million tokens of any kind: for some calls, and never for all.
BUDGET = Decimal("0.04")


def alarm(device: str) -> AnalysisRequest:
    asked = AnalysisRequest.of_table(
        request_id=str(uuid.uuid4()), region="", device_id=device, metric="p", kind="level", window=(START, START)
    )
    samples = tuple(Sample(ts=START, value=value) for value in (5.0, 9.0))
    return asked.model_copy(update={"topic": "readings", "samples": samples, "value": 9.0, "spread": 1.0})


class File:
    """The list of endpoints, which workers read again when it changes."""

    def __init__(self, path: Path, stand_in: StandIn) -> None:
        self.path = path
        self._common = {"base_url": stand_in.url, "api_key": "k", "input_usd": 1, "output_usd": 1, "rpm": 6000}

    def write(self, *endpoints: dict[str, object]) -> None:
        written = self.path.with_suffix(".new")
        written.write_text(json.dumps([self._common | endpoint for endpoint in endpoints]))
        written.replace(self.path)


def status(flow: Flow) -> Any:  # noqa: ANN401  # JSON
    done = flow.run("status", "--json", TIDEGATE_LLM__BUDGET_USD_PER_DAY=str(BUDGET))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_workers_never_spend_more_than_the_budget_and_all_of_it_is_accounted_for(
    flow: Flow, stand_in: StandIn, tmp_path: Path
) -> None:
    file = File(tmp_path / "endpoints.json", stand_in)
    # Few at once: what is set aside for a call is ten times what it costs.
    file.write({"name": "first", "model": "slow:0.1", "max_concurrent": 2})
    workers = [
        flow.start(
            "worker",
            "--lane",
            "analyze",
            TIDEGATE_LLM__ENDPOINTS_FILE=str(file.path),
            TIDEGATE_LLM__BUDGET_USD_PER_DAY=str(BUDGET),
            TIDEGATE_LLM__WINDOWS_PER_CALL="1",
        )
        for _ in range(2)
    ]
    for number in range(60):
        flow.request(alarm(f"pump-{number}"))
    count = "select count(*) from insights"
    eventually(lambda: flow.fetch(count) == [(60,)], "every alarm is explained")

    by_source = dict(flow.fetch("select source, count(*) from insights group by source"))
    assert by_source["model"] == len(stand_in.requests())
    assert by_source["rules"] == 60 - by_source["model"] > 0, "who has no money left asks rules"
    spent = (
        sum(
            Decimal(sum(one["usage"][kind] for kind in ("prompt_tokens", "completion_tokens")))
            for one in stand_in.requests()
        )
        / 1_000_000
    )
    assert BUDGET / 2 < spent <= BUDGET

    # What it has cost is said of each insight, in the books, and by `status`.
    (told,) = flow.fetch("select sum(cost_usd)::float8 from insights where source = 'model'")
    assert told[0] == pytest.approx(float(spent))
    eventually(lambda: flow.fetch("select usd from spend") == [(spent,)], "it is written down")
    eventually(lambda: len(status(flow)["endpoints"]) == 2, "both workers say how the endpoint does")
    seen = status(flow)
    assert {one["condition"] for one in seen["endpoints"]} == {"up"}
    assert seen["spent"][0]["usd"] == pytest.approx(float(spent))
    assert float(spent) <= seen["budgets"]["granted_usd"]["total"] <= seen["budgets"]["total_usd"] == float(BUDGET)

    # The second endpoint costs nothing, so it is asked though the money is spent.
    file.write({"name": "second", "model": "ok", "input_usd": 0, "output_usd": 0})
    eventually(lambda: {one["name"] for one in status(flow)["endpoints"]} == {"second"}, "the endpoints have changed")
    flow.request(alarm("pump-60"))
    eventually(lambda: flow.fetch(count) == [(61,)], "it is explained")
    assert flow.fetch("select source, model from insights where device_id = 'pump-60'") == [("model", "ok-stand-in")]

    for worker in workers:
        assert worker.terminate() == 0
    assert flow.fetch("select granted from budgets where scope = 'total'") == [(spent,)], "the rest is given back"
    assert status(flow)["endpoints"] == []
