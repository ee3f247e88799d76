"""From an alarm to a request for analysis."""

from datetime import datetime

from connectors.timescale.devices import DeviceKnown
from schemas.fields import deterministic_id
from schemas.models import AnalysisRequest
from streams.detect.detector import Alarm


def request_for(  # each is a fact of its own about the same alarm
    alarm: Alarm, device: DeviceKnown, *, region: str, topic: str, partition: int, accepted: datetime
) -> AnalysisRequest:
    """Make the request; its id says which event it is about, so the same event asks the same thing again."""
    start, end = alarm.samples[0].ts, alarm.samples[-1].ts
    return AnalysisRequest(
        id=deterministic_id("request", region, alarm.device_id, alarm.metric, alarm.kind, start.isoformat()),
        region=region,
        tenant=device.tenant,
        device_id=alarm.device_id,
        device_class=device.device_class,
        metric=alarm.metric,
        unit=device.units.get(alarm.metric, ""),
        kind=alarm.kind,
        direction=alarm.direction,
        severity=alarm.severity,
        score=alarm.score,
        value=alarm.value,
        baseline=alarm.baseline,
        spread=alarm.spread,
        window_start=start,
        window_end=end,
        accepted=accepted,
        samples=alarm.samples,
        topic=topic,
        partition=partition,
        first_offset=alarm.first_offset,
        last_offset=alarm.last_offset,
    )
