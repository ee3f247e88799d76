"""What each part of the flow tells of itself: metrics to Prometheus, and traces to a collector."""

import atexit
import importlib.metadata
from enum import StrEnum

from connectors import metrics, tracing
from streams.settings import LaneName, Settings


class Part(StrEnum):
    """What runs in a process; their ports are one after the other."""

    INGEST = LaneName.INGEST
    ANALYZE = LaneName.ANALYZE
    BRIDGE = "bridge"
    GATEWAY = "gateway"
    MIRROR = LaneName.MIRROR


def serve(settings: Settings, part: Part) -> None:
    """Say what runs here, answer Prometheus, if a port is set, and send traces, if there is an address for them.

    Raises:
        PortTakenError: another program listens there.
        ConnectorError: traces are wanted, and OpenTelemetry is not installed.

    """
    traced = settings.tracing
    atexit.register(tracing.start(traced.endpoint, sample=traced.sample, part=part, region=settings.region))
    metrics.BUILD.labels(importlib.metadata.version("tidegate"), part, settings.region).set(1)
    if settings.metrics.port is not None:
        metrics.serve(settings.metrics.host, settings.metrics.port + list(Part).index(part))
