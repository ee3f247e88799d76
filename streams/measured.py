"""Where each part of the flow tells Prometheus about itself."""

import importlib.metadata
from enum import StrEnum

from connectors import metrics
from streams.settings import LaneName, Settings


class Part(StrEnum):
    """What runs in a process; their ports are one after the other."""

    INGEST = LaneName.INGEST
    ANALYZE = LaneName.ANALYZE
    BRIDGE = "bridge"
    GATEWAY = "gateway"


def serve(settings: Settings, part: Part) -> None:
    """Say what runs here, and answer Prometheus, if a port is set.

    Raises:
        PortTakenError: another program listens there.

    """
    metrics.BUILD.labels(importlib.metadata.version("tidegate"), part, settings.region).set(1)
    if settings.metrics.port is not None:
        metrics.serve(settings.metrics.host, settings.metrics.port + list(Part).index(part))
