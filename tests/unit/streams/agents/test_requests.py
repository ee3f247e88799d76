"""The same event asks the same question, with the same id."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.timescale.devices import DeviceKnown
from schemas.codec import decode, encode
from schemas.fields import Direction, Severity
from schemas.models import AnalysisRequest, Sample
from streams.agents.requests import request_for
from streams.detect.detector import Alarm

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALARM = Alarm(
    device_id="pump",
    metric="t",
    kind="deviation",
    direction=Direction.UP,
    severity=Severity.CRITICAL,
    score=0.75,
    value=9.0,
    baseline=5.0,
    spread=0.5,
    samples=tuple(Sample(ts=NOW + timedelta(seconds=at), value=float(at)) for at in range(3)),
    first_offset=10,
    last_offset=14,
    offset=14,
)


def ask(alarm: Alarm = ALARM, device: DeviceKnown | None = None, region: str = "eu") -> AnalysisRequest:
    return request_for(
        alarm,
        device or DeviceKnown(),
        region=region,
        topic="readings",
        partition=2,
        accepted=NOW + timedelta(minutes=1),
    )


def test_everything_that_is_known_is_said() -> None:
    request = ask(device=DeviceKnown("acme", "press", {"t": "C", "p": "bar"}))

    assert (request.tenant, request.device_class, request.unit) == ("acme", "press", "C")
    assert (request.window_start, request.window_end) == (NOW, NOW + timedelta(seconds=2))
    assert (request.topic, request.partition, request.first_offset, request.last_offset) == ("readings", 2, 10, 14)
    assert (request.score, request.value, request.baseline, request.spread) == (0.75, 9.0, 5.0, 0.5)
    assert (request.kind, request.direction, request.severity) == ("deviation", Direction.UP, Severity.CRITICAL)
    assert (request.samples, request.accepted, request.question) == (ALARM.samples, NOW + timedelta(minutes=1), None)
    assert decode(encode(request), AnalysisRequest) == request


@pytest.mark.parametrize("device", [DeviceKnown(), DeviceKnown(units={}), DeviceKnown(units={"p": "bar"})])
def test_a_unit_that_is_not_known(device: DeviceKnown) -> None:
    assert ask(device=device).unit == ""


def test_an_id_is_a_function_of_region_device_metric_kind_and_window_start() -> None:
    known = ask().id
    later = replace(ALARM, samples=ALARM.samples[:2], value=1.0, score=0.6, last_offset=99)

    assert known == ask(later, DeviceKnown("acme")).id == "24080297-9634-5958-89bc-02f292418bb1"
    others = [
        ask(region="us"),
        ask(replace(ALARM, device_id="fan")),
        ask(replace(ALARM, metric="p")),
        ask(replace(ALARM, kind="flat")),
        ask(replace(ALARM, samples=ALARM.samples[1:])),
    ]
    assert len({known, *(request.id for request in others)}) == 6
