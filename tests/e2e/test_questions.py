"""People ask over HTTP and are answered; every hour is summed up. Through all of it: the real processes and servers."""

import json
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.embedded import ports
from schemas.models import AnalysisRequest, Reading, Sample
from tests.e2e.conftest import Flow, eventually
from tests.fakes.stand_in import StandIn

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def of_hour(device: str, start: datetime) -> list[Reading]:
    return [
        Reading(
            device_id=device,
            ts=start + minute * MINUTE,
            metrics={"pressure": 5.0 + minute % 3},
            units={"pressure": "bar"},
        )
        for minute in range(60)
    ]


def alarm(device: str, at: datetime) -> AnalysisRequest:
    """What the detectors ask for, in short."""
    asked = AnalysisRequest.of_table(
        request_id=str(uuid.uuid4()), region="", device_id=device, metric="pressure", kind="pattern", window=(at, at)
    )
    samples = tuple(Sample(ts=at, value=value) for value in (5.0, 9.0))
    return asked.model_copy(update={"topic": "readings", "samples": samples, "value": 9.0, "spread": 1.0})


def ask(url: str, body: dict[str, str], key: str | None = None) -> Any:  # noqa: ANN401  # JSON
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    request = urllib.request.Request(f"{url}/v1/tasks", json.dumps(body).encode(), headers)  # noqa: S310  # our own gateway
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # the same
        assert answer.status == 202
        return json.load(answer)


def look(url: str, task_id: str) -> Any:  # noqa: ANN401  # JSON
    with urllib.request.urlopen(f"{url}/v1/tasks/{task_id}", timeout=40) as answer:  # noqa: S310  # the same
        return json.load(answer)


def test_a_question_is_answered_by_a_model(flow: Flow, stand_in: StandIn) -> None:
    port = ports.free()
    url = f"http://127.0.0.1:{port}"
    endpoints = [{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}]
    flow.start("gateway", TIDEGATE_HTTP__PORT=str(port))
    flow.start("worker", "--lane", "ingest")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    flow.produce(of_hour("pump-1", start))
    eventually(flow.drained, "readings are stored")

    # Nobody answers yet: it is accepted, and waits.
    task = ask(
        url,
        {"device_id": "pump-1", "question": "Is it high?", "from": start.isoformat(), "to": (start + HOUR).isoformat()},
    )
    assert look(url, task["task_id"])["state"] == "queued"
    flow.start("worker", "--lane", "analyze", TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    eventually(lambda: look(url, task["task_id"])["state"] == "succeeded", "the question is answered")
    answered = look(url, task["task_id"])
    assert (answered["attempts"], answered["insight"]["source"]) == (1, "model")
    (call,) = stand_in.requests()
    assert '"question":"Is it high?"' in call["body"]["messages"][-1]["content"]


def test_a_conversation_stays_at_its_endpoint_and_knows_what_was_said(flow: Flow, stand_in: StandIn) -> None:
    port = ports.free()
    url = f"http://127.0.0.1:{port}"
    endpoints = [{"name": name, "base_url": stand_in.url, "api_key": name, "model": "test-1"} for name in "abcd"]
    flow.start("gateway", TIDEGATE_HTTP__PORT=str(port))
    flow.start("worker", "--lane", "ingest")
    flow.start("worker", "--lane", "analyze", TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    devices = [f"pump-{number}" for number in range(4)]
    flow.produce([reading for device in devices for reading in of_hour(device, start)])
    eventually(flow.drained, "readings are stored")

    window = {"from": start.isoformat(), "to": (start + HOUR).isoformat()}
    for number, device in enumerate(devices):
        body = {"device_id": device, "question": f"Question {'abcd'[number]}?", "conversation_id": "talk-1", **window}
        task = ask(url, body)["task_id"]
        eventually(lambda task=task: look(url, task)["state"] == "succeeded", "the question is answered")  # type: ignore[misc]  # bound now
        assert look(url, task)["conversation_id"] == "talk-1"
    calls = stand_in.requests()
    assert len(calls) == len(devices)
    assert len({call["headers"]["authorization"] for call in calls}) == 1, "each endpoint has a key of its own"
    last = calls[-1]["body"]["messages"][-1]["content"]
    assert [f'"question":"Question {letter}?"' in last for letter in "abcd"] == [True] * 4
    assert "stand-in text" in last
    (told,) = flow.fetch("select count(distinct device_id) from insights where source = 'model'")
    assert told == (4,)


def test_each_hour_is_summed_up_once_by_one_of_two_workers(flow: Flow) -> None:
    due = (datetime.now(UTC) - 5 * MINUTE).replace(minute=0, second=0, microsecond=0) - HOUR
    flow.start("worker", "--lane", "ingest")
    flow.produce([reading for device in ("pump-1", "pump-2") for reading in of_hour(device, due)])
    eventually(flow.drained, "readings are stored")
    flow.fetch("insert into schedules values ('/hourly-summary', %s) returning 1", due)
    for _ in range(2):
        flow.start("worker", "--lane", "analyze", TIDEGATE_ANALYZE__SUMMARIES="hour")
    wanted = "select device_id, window_start, window_end, kind, source from insights where kind <> 'pattern' order by 1"
    told = [(device, due, due + HOUR, "hourly-summary", "rules") for device in ("pump-1", "pump-2")]
    eventually(lambda: flow.fetch(wanted) == told, "both are summed up")
    assert flow.fetch("select next_start from schedules") == [(due + HOUR,)]
    assert flow.fetch("select summary from insights where device_id = 'pump-2'")[0][0].startswith("pressure of pump-2")


def test_a_question_that_no_model_has_time_for_holds_nobody_up(flow: Flow, stand_in: StandIn) -> None:
    """The endpoint fails for a while; the question waits in the table, the device's next alarm and commits go by it."""
    stand_in.default("503")
    port = ports.free()
    url = f"http://127.0.0.1:{port}"
    endpoints = [{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}]
    flow.start("gateway", TIDEGATE_HTTP__PORT=str(port))
    flow.start("worker", "--lane", "ingest")
    flow.start("worker", "--lane", "analyze", TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    flow.produce(of_hour("pump-1", start))
    eventually(flow.drained, "readings are stored")
    asked = {"question": "Is it high?", "from": start.isoformat(), "to": (start + HOUR).isoformat()}
    task = ask(url, {"device_id": "pump-1", **asked})["task_id"]

    # It comes again. Then it is kept waiting: nothing here depends on how fast all the rest is.
    later = (
        "update tasks set due_at = now() + interval '1 h'"
        " where id = %s and state = 'retrying' and attempts > 1 returning 1"
    )
    eventually(lambda: flow.fetch(later, task) == [(1,)], "it was tried twice, and waits")
    told = look(url, task)
    assert (told["state"], told["insight"]) == ("retrying", None)
    assert datetime.fromisoformat(told["due"]) > datetime.now(UTC)
    eventually(lambda: flow.drained("analyze"), "the offset of the question is committed")

    stand_in.default("ok")
    flow.request(alarm("pump-1", start))
    wanted = "select device_id, kind, source from insights"
    eventually(lambda: flow.fetch(wanted) == [("pump-1", "pattern", "model")], "the device's next alarm is answered")
    assert look(url, task)["state"] == "retrying"

    flow.fetch("update tasks set due_at = now() where id = %s returning 1", task)
    eventually(lambda: look(url, task)["state"] == "succeeded", "the question is answered")
    answered = look(url, task)
    assert (answered["attempts"], answered["insight"]["source"]) == (told["attempts"] + 1, "model")
    assert "due" not in answered


def test_of_two_gateways_one_dies_and_the_other_follows_its_tasks(flow: Flow, stand_in: StandIn) -> None:
    endpoints = [{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}]
    first, second = (f"http://127.0.0.1:{port}" for port in (ports.free(), ports.free()))
    gateways = [flow.start("gateway", TIDEGATE_HTTP__PORT=url.rpartition(":")[2]) for url in (first, second)]
    stand_in.default("slow:3")
    flow.start("worker", "--lane", "analyze", TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    flow.start("worker", "--lane", "ingest")
    flow.produce(of_hour("pump-1", start))
    eventually(flow.drained, "readings are stored")
    asked = {
        "device_id": "pump-1",
        "question": "Is it high?",
        "from": start.isoformat(),
        "to": (start + HOUR).isoformat(),
    }
    task = ask(first, asked, key="one")["task_id"]
    assert stand_in.started()
    gateways[0].kill()
    # The other one waits for it, hears of its end, and knows the key.
    assert look(second, f"{task}?wait=30")["state"] == "succeeded"
    assert ask(second, asked, key="one") == {"task_id": task, "state": "succeeded"}
    assert len(stand_in.requests()) == 1
