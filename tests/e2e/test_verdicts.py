"""`tidegate replay --cache-only` and `--re-ask`: what is said today of what was said then, and nothing of it stored."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.producer import Outgoing, Producer
from schemas.topics import ANALYSIS_REQUESTS
from tests.e2e.conftest import Flow, eventually
from tests.e2e.test_cache import COUNT, START, alarm
from tests.fakes.stand_in import StandIn

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.timeout(300)]

ALARMS = 6


def again(flow: Flow, mode: str, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
    done = flow.run("replay", "analysis-requests", mode, *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def answered(flow: Flow, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """Six alarms of three kinds that a model has explained, one of them twice in the log; and one that is none."""
    endpoint = {"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}
    monkeypatch.setenv("TIDEGATE_LLM__ENDPOINTS", json.dumps([endpoint | {"input_usd": 1, "output_usd": 1}]))
    monkeypatch.setenv("TIDEGATE_LLM__WINDOWS_PER_CALL", "1")
    worker = flow.start("worker", "--lane", "analyze", TIDEGATE_CACHE__ENABLED="true")
    metric = f"pressure-{uuid.uuid4().hex[:8]}"
    alarms = [alarm(f"pump-{number}", f"{metric}-{number % 3}", START) for number in range(ALARMS)]
    for one in [*alarms, alarms[0]]:
        flow.request(one)
    producer = Producer(flow.settings.kafka)
    producer.publish([Outgoing(ANALYSIS_REQUESTS.name, b"pump-0", b"no request")])
    producer.close()
    eventually(lambda: flow.fetch(COUNT) == [(ALARMS,)] and flow.drained("analyze"), "all are explained")
    assert worker.terminate() == 0
    assert len(stand_in.requests()) == 3
    return flow


WITHOUT = {"unreadable": 1, "the same request again": 1}


def test_what_the_cache_says_today(answered: Flow, stand_in: StandIn, tmp_path: Path) -> None:
    before = answered.fetch("select * from insights order by id")
    told = again(answered, "--cache-only")
    assert told["verdicts"] == {"same": ALARMS}
    # What Redis had, this process has in memory from then on; those that are asked about at once all ask Redis.
    assert "l2" in told["by"].keys() <= {"l1", "l2"}
    assert (told["without"], told["usd"], told["changes"]) == (WITHOUT, 0.0, [])

    # Two alarms of a kind are corrected, those of another are forgotten.
    ids = [insight for (insight,) in answered.fetch("select id::text from insights order by metric, device_id")]
    right = tmp_path / "right.json"
    kept = json.loads(answered.run("cache", "explain", ids[0], "--json").stdout)["answers"][0]["l2"]["answer"]
    right.write_text(json.dumps({**kept, "severity": "critical"}))
    assert answered.run("cache", "correct", ids[0], str(right)).returncode == 0
    assert answered.run("cache", "purge", ids[2]).returncode == 0
    told = again(answered, "--cache-only")
    assert told["verdicts"] == {"same": 2, "changed": 2}
    assert told["without"] == WITHOUT | {"not in the cache": 2}
    assert {one["insight"] for one in told["changes"]} == set(ids[:2])
    assert {(one["severity_then"], one["severity_now"]) for one in told["changes"]} == {("info", "critical")}
    assert len(stand_in.requests()) == 3, "nobody was asked"
    assert answered.fetch("select * from insights order by id") == before

    done = answered.run("replay", "analysis-requests", "--cache-only", "--device", "pump-0")
    assert done.returncode == 0, done.stderr
    assert "0 verdicts the same, 1 changed, $0.0000" in done.stdout
    assert f"{ids[0]}  pattern of pump-0" in done.stdout


def test_models_are_asked_again_when_somebody_has_seen_what_it_costs(answered: Flow, stand_in: StandIn) -> None:
    before = answered.fetch("select * from insights order by id")
    ((cost,),) = answered.fetch("select avg(cost_usd) from insights where cost_usd > 0")
    estimate = again(answered, "--re-ask", "--dry-run")
    assert (estimate["windows"], estimate["left out"]) == (ALARMS, WITHOUT)
    assert estimate["about_usd"] == pytest.approx(ALARMS * cost)
    assert estimate["reserved_usd"] > estimate["about_usd"]
    refused = again(answered, "--re-ask", code=2)
    assert "6 windows: about $" in refused
    assert "--yes" in refused
    assert len(stand_in.requests()) == 3

    answer = {"n": 1, "summary": "it broke", "probable_causes": ["wear"], "recommended_actions": ["look"]}
    stand_in.content(json.dumps({"answers": [answer | {"severity": "critical", "confidence": 0.5}]}))
    told = again(answered, "--re-ask", "--yes")
    assert (told["verdicts"], told["by"]) == ({"changed": ALARMS}, {"model": ALARMS})
    assert len(stand_in.requests()) == 3 + ALARMS, "the cache is not asked"
    change = told["changes"][0]
    assert (change["summary_then"], change["summary_now"]) == ("stand-in text", "it broke")
    tokens = [one["usage"]["prompt_tokens"] + one["usage"]["completion_tokens"] for one in stand_in.requests()[3:]]
    assert told["usd"] == pytest.approx(sum(tokens) / 1e6)
    # It is in the books, and nowhere else.
    ((spent,),) = answered.fetch("select sum(usd)::float8 from spend")
    assert spent == pytest.approx(told["usd"] + 3 * cost)
    assert answered.fetch("select * from insights order by id") == before
    assert again(answered, "--cache-only")["verdicts"] == {"same": ALARMS}
    actions = [
        action for (action,) in answered.fetch("select action from audit where action like 'replay%' order by at")
    ]
    assert actions == ["replay re-ask", "replay re-ask ended", "replay cache-only", "replay cache-only ended"]

    # Who does not answer is told, too.
    stand_in.content(None)
    stand_in.default("500")
    told = again(answered, "--re-ask", "--yes", "--device", "pump-1")
    assert told["verdicts"] == {}
    assert any(why.startswith("no answer: ") for why in told["without"])


def test_without_models_or_requests_there_is_nothing_to_compare(flow: Flow) -> None:
    assert "No model endpoint is set" in again(flow, "--re-ask", "--dry-run", code=2)
    assert "No model endpoint is set" in again(flow, "--cache-only", code=2)
    done = flow.run("replay", "readings", "--re-ask")
    assert done.returncode == 2
    assert "analysis-requests" in done.stderr
