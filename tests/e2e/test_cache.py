"""What was asked once is not asked again: by another device, another worker, or the next day."""

import json
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded import ports
from schemas.models import AnalysisRequest, Sample
from tests.e2e.conftest import Flow, Process, eventually
from tests.fakes.stand_in import StandIn

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.timeout(300)]

START = datetime(2026, 3, 1, tzinfo=UTC)
COUNT = "select count(*) from insights"


def alarm(device: str, metric: str, at: datetime, value: float = 9.0) -> AnalysisRequest:
    window = (at, at + timedelta(minutes=1))
    asked = AnalysisRequest.of_table(
        request_id=str(uuid.uuid4()), region="", device_id=device, metric=metric, kind="pattern", window=window
    )
    samples = tuple(Sample(ts=at + timedelta(seconds=n), value=one) for n, one in enumerate((5.0, value)))
    return asked.model_copy(
        update={"topic": "readings", "samples": samples, "value": value, "baseline": 5.0, "spread": 1.0}
    )


def test_windows_that_are_alike_cost_one_call(flow: Flow, stand_in: StandIn) -> None:
    metric = f"pressure-{uuid.uuid4().hex[:8]}"  # nobody else's
    endpoints = json.dumps([{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}])

    def start(redis: str = flow.environment["TIDEGATE_REDIS__URL"]) -> Process:
        return flow.start(
            "worker",
            "--lane",
            "analyze",
            TIDEGATE_CACHE__ENABLED="true",
            TIDEGATE_LLM__ENDPOINTS=endpoints,
            TIDEGATE_REDIS__URL=redis,
        )

    first = start()
    for number in range(20):
        # At other times, on other devices, and not to the last digit the same.
        flow.request(alarm(f"pump-{number}", metric, START + timedelta(hours=number), 9.0 + number / 10_000))
    eventually(lambda: flow.fetch(COUNT) == [(20,)], "all are answered")
    assert len(stand_in.requests()) == 1
    sources = dict(flow.fetch("select source, count(*) from insights group by source"))
    assert sources == {"model": 1, "l1": 19}
    # Each costs what it cost.
    assert flow.fetch("select count(*) from insights where cost_usd > 0 or prompt_tokens > 0") == [(1,)]

    # Another worker finds it in Redis, and without Redis on the disk.
    first.terminate()
    second = start()
    flow.request(alarm("pump-20", metric, START))
    eventually(lambda: flow.fetch(COUNT) == [(21,)], "it is answered")
    second.terminate()
    start(redis="")
    flow.request(alarm("pump-21", metric, START))
    eventually(lambda: flow.fetch(COUNT) == [(22,)], "it is answered")
    of = "select source from insights where device_id = %s"
    assert [flow.fetch(of, f"pump-{number}") for number in (20, 21)] == [[("l2",)], [("l3",)]]
    assert len(stand_in.requests()) == 1


def told(flow: Flow, *arguments: str) -> Any:  # noqa: ANN401  # JSON
    done = flow.run("cache", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_people_look_at_correct_and_purge_what_is_kept(
    flow: Flow, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = f"pressure-{uuid.uuid4().hex[:8]}"
    endpoints = json.dumps([{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}])
    monkeypatch.setenv("TIDEGATE_LLM__ENDPOINTS", endpoints)
    flow.start("worker", "--lane", "analyze", TIDEGATE_CACHE__ENABLED="true")
    asked = 0

    def ask(source: str, summary: str | None = None) -> bool:
        """Ask once more; say whether it was answered so."""
        nonlocal asked
        asked += 1
        request = alarm(f"pump-{asked}", metric, START)
        flow.request(request)
        row = "select source, summary from insights where request_id = %s"
        eventually(lambda: flow.fetch(row, request.id) != [], "it is answered")
        ((by, said),) = flow.fetch(row, request.id)
        return by == source and summary in {None, said}

    assert ask("model")
    ((insight, request),) = flow.fetch("select id::text, request_id::text from insights")
    (kept,) = told(flow, "explain", insight)["answers"]
    assert kept == told(flow, "explain", request)["answers"][0] == told(flow, "explain", kept["key"])["answers"][0]
    assert (kept["l2"]["answer"]["summary"], kept["l3"]["model"]) == ("stand-in text", "test-1-stand-in")
    stats = told(flow, "stats")
    assert (stats["insights by model"], stats["l3 entries"]) == (1, 1)

    right = tmp_path / "right.json"
    answer = {**kept["l2"]["answer"], "summary": "{metric} of {device} is a known fault"}
    right.write_text(json.dumps(answer))
    told(flow, "correct", insight, str(right))
    corrected = f"{metric} of pump-{{}} is a known fault"
    eventually(lambda: ask("l1", corrected.format(asked + 1)), "the correction is heard of")
    assert told(flow, "explain", insight)["answers"][0]["corrected"]["answer"] == answer
    assert len(stand_in.requests()) == 1

    told(flow, "purge", insight)
    eventually(lambda: ask("model", "stand-in text"), "it is asked about anew")
    assert len(stand_in.requests()) == 2
    assert ask("l1", "stand-in text")

    # What somebody says is wrong is asked about anew.
    port = ports.free()
    flow.start("gateway", TIDEGATE_HTTP__PORT=str(port))
    ((last,),) = flow.fetch("select id::text from insights order by created desc limit 1")
    said = urllib.request.Request(  # our own gateway
        f"http://127.0.0.1:{port}/v1/insights/{last}/feedback",
        b'{"verdict": "wrong", "note": "it is a known fault"}',
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(said, timeout=10) as done:  # noqa: S310  # the same
        assert done.status == 200
    eventually(lambda: ask("model", "stand-in text"), "it is asked about anew")
    assert flow.fetch("select insight::text, who, verdict, note from feedback") == [
        (last, "anyone", "wrong", "it is a known fault")
    ]

    wrong = {"summary": "It is 7", "nobody": "It is {nobody}"}
    for part, summary in wrong.items():
        right.write_text(json.dumps({**answer, "summary": summary}))
        refused = flow.run("cache", "correct", insight, str(right))
        assert (refused.returncode, refused.stdout) == (2, "")
        assert part in refused.stderr or "numbers of its own" in refused.stderr
    for arguments in (["explain", "what"], ["purge"], ["purge", "--all", insight], ["explain", str(uuid.uuid4())]):
        refused = flow.run("cache", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "Traceback" not in refused.stderr


def test_a_question_in_other_words_has_the_answer_that_was_given(
    flow: Flow, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = f"pressure-{uuid.uuid4().hex[:8]}"
    endpoints = json.dumps([{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}])
    monkeypatch.setenv("TIDEGATE_LLM__ENDPOINTS", endpoints)
    flow.start("worker", "--lane", "analyze", TIDEGATE_CACHE__ENABLED="true")

    def ask(question: str) -> str:
        request = alarm("pump-1", metric, START).model_copy(update={"question": question})
        flow.request(request)
        row = "select source from insights where request_id = %s"
        eventually(lambda: flow.fetch(row, request.id) != [], "it is answered")
        return str(flow.fetch(row, request.id)[0][0])

    assert ask("What was the maximum pressure in the last hour?") == "model"
    assert ask("What was the maximum pressure in the last hour?") == "l1"
    assert ask("Could you tell me the peak pressure over the past 60 minutes, please?") == "semantic"
    for other in (
        "What was the minimum pressure in the last hour?",
        "What was the maximum pressure in the last day?",
        "What was the maximum flow in the last hour?",
        "Why was the pressure at its maximum in the last hour?",
    ):
        assert ask(other) == "model"
    assert told(flow, "stats")["questions"] == 5

    # What nobody compared yet is asked, judged, and after some times served.
    sources = []
    for number in range(2, 10):
        assert ask(f"Is pump {number} hotter than fan {number + 1}?") == "model"
        sources.append(ask(f"Does fan {number + 1} run cooler than pump {number}?"))
    assert sources[:3] == ["model"] * 3
    assert sources[-1] == "semantic"
    asked = "select id::text from insights where source = 'model' order by created desc limit 1"
    (shown,) = told(flow, "explain", str(flow.fetch(asked)[0][0]))["answers"]
    assert shown["question"] == "Is pump 9 hotter than fan 10?"
    assert told(flow, "stats")["questions in other words"].startswith("open: 0 wrong of")
    if isinstance(shown["similar"], str):
        assert "pgvector" in shown["similar"]
        return
    learnt = [one for one in shown["similar"] if "cooler" in one["question"] and not one["about the same"]]
    assert learnt
    assert all(one["means the same, probability"] > 0.99 for one in learnt)
