"""Where letters go again, and which stay."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.kafka.producer import Outgoing
from connectors.timescale.settings import ConflictPolicy
from schemas.codec import decode, encode
from schemas.fields import Severity, deterministic_id
from schemas.models import AnalysisRequest, DeadLetter, Reading, Sample
from schemas.topics import ANALYSIS_REQUESTS, INSIGHTS, READINGS
from streams.dlq.letter import Letter
from streams.dlq.mending import Mending
from streams.dlq.stages import Stages, StaysError

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
READING = Reading(device_id="pump-1", ts=START, metrics={"t": 1.0})


def letter(**change: Any) -> Letter:  # noqa: ANN401  # fields of a letter
    fields: dict[str, Any] = {
        "id": "an id",
        "stage": "ingest",
        "reason": "key",
        "topic": READINGS.name,
        "partition": 3,
        "offset": 7,
        "accepted": START,
        "key": b"pump-1",
        "value": encode(READING),
        "created": START + timedelta(hours=3),
    }
    return Letter(DeadLetter(**(fields | change)), 0, 0)


def stages(*sets: str, policy: ConflictPolicy = ConflictPolicy.FIRST, as_payload: bool = False) -> Stages:
    def marked(origin: bytes, key: bytes | None, value: bytes) -> dict[str, bytes]:
        return {"of": origin, "whose": key or b"", "long": b"%d" % len(value)}

    return Stages(policy, Mending.of(sets, []), marked, as_payload)


def request() -> AnalysisRequest:
    return AnalysisRequest(
        id=deterministic_id("a"),
        device_id="pump-1",
        metric="t",
        kind="spike",
        severity=Severity.INFO,
        score=0.5,
        value=1.0,
        baseline=1.0,
        spread=1.0,
        window_start=START,
        window_end=START,
        accepted=START,
        samples=(Sample(ts=START, value=1.0),),
        topic=READINGS.name,
        partition=0,
        first_offset=0,
        last_offset=1,
    )


def test_a_record_that_is_taken_now_goes_as_a_copy_with_its_place() -> None:
    again = stages().again(letter())
    value = encode(READING)
    bears = {"of": b"readings/3/7/%d" % (START.timestamp() * 1000), "whose": b"pump-1", "long": b"%d" % len(value)}
    assert again.records == [Outgoing(READINGS.name, b"pump-1", value, bears)]
    asked = letter(stage="analyze", topic=ANALYSIS_REQUESTS.name, value=encode(request()))
    (record,) = stages().again(asked).records
    assert (record.topic, record.value) == (ANALYSIS_REQUESTS.name, encode(request()))


def test_what_it_was_accepted_for_counts_not_when_it_was_refused() -> None:
    """A reading of two hours ahead of its acceptance was refused three hours later, and is no more right by now."""
    ahead = READING.model_copy(update={"ts": START + timedelta(hours=2)})
    with pytest.raises(StaysError, match="ts-ahead"):
        stages().again(letter(value=encode(ahead)))
    (record,) = stages("ts=accepted").again(letter(value=encode(ahead))).records
    assert decode(record.value, Reading).ts == START


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"key": b"pump-2"}, "key: "),
        ({"value": b"rubbish"}, "framing: "),
        ({"value": None}, "no value"),
        ({"stage": "analyze", "topic": ANALYSIS_REQUESTS.name}, "schema: "),
        ({"topic": INSIGHTS.name}, "nobody here works on insights"),
        ({"topic": "somebody-elses"}, "nobody here works on somebody-elses"),
        ({"stage": "sink", "reason": "conflict"}, "the first value stands"),
        ({"stage": "mqtt", "topic": "devices/pump-1/readings", "value": b"{"}, "json: "),
        ({"stage": "mqtt", "topic": "other/pump-1", "value": b'{"t": 1}'}, "topic: "),
        (
            {"stage": "mqtt", "topic": "devices/p/readings", "value": b'{"t": 1}', "headers": {"original-size": b"9"}},
            "too long to be kept",
        ),
    ],
)
def test_what_would_be_refused_again_stays(change: dict[str, Any], why: str) -> None:
    with pytest.raises(StaysError, match=why):
        stages().again(letter(**change))


def test_what_cannot_be_mended_stays() -> None:
    for sets, value, why in (
        ("metrics.t=1.0", b"rubbish", "no record that could be mended"),
        ("metrics.t='high'", encode(READING), "invalid: metrics.t"),
        ("metrics.t=metrics.none", encode(READING), "metrics.none"),
        ("nonsense=1", encode(READING), "invalid: nonsense"),
    ):
        with pytest.raises(StaysError, match=why):
            stages(sets).again(letter(value=value))
    with pytest.raises(StaysError, match="no object of JSON"):
        stages("t=1.0", as_payload=True).again(letter(value=b"[1, 2]"))


def test_payloads_are_read_as_of_when_they_came_and_may_be_several_readings() -> None:
    payload = json.dumps([{"t": 1.0}, {"t": 2.0, "ts": START.isoformat()}]).encode()
    mqtt = letter(
        stage="mqtt", topic="devices/pump-1/readings", value=payload, partition=None, offset=None, accepted=None
    )
    records = stages().again(mqtt).records
    assert [(one.key, dict(one.headers)) for one in records] == [(b"pump-1", {})] * 2
    assert [decode(one.value, Reading).ts for one in records] == [START + timedelta(hours=3), START]
    # Payloads that somebody wrote into Kafka: of the device in the key, and as of their acceptance.
    raw = letter(value=b'{"t": 5}')
    (record,) = stages(as_payload=True).again(raw).records
    assert decode(record.value, Reading) == READING.model_copy(update={"metrics": {"t": 5.0}})
    assert record.headers["of"].startswith(b"readings/3/7/")
    (record,) = stages("t=9.0", "key='pump-2'", as_payload=True).again(raw).records
    assert decode(record.value, Reading) == READING.model_copy(update={"metrics": {"t": 9.0}, "device_id": "pump-2"})


def test_a_loser_goes_again_where_the_last_value_stands_and_a_webhook_is_told_again() -> None:
    lost = letter(stage="sink", reason="conflict", partition=None, offset=None, accepted=None)
    (record,) = stages(policy=ConflictPolicy.LAST).again(lost).records
    assert (record.value, dict(record.headers)) == (encode(READING), {})
    hook = letter(stage="webhook", headers={"webhook": b"on-call", "webhook-id": b"7"}, topic=INSIGHTS.name)
    assert stages().again(hook).message == ("on-call", "7")
