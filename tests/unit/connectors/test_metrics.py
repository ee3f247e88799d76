"""Metrics are served where the settings say, or it is said why they cannot be."""

import socket
import urllib.request

import pytest

from connectors import metrics
from connectors.errors import PortTakenError


def test_metrics_are_served_with_their_meaning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    metrics.serve("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        said = answer.read().decode()
    assert "# TYPE tidegate_fetching_paused gauge" in said
    assert "# HELP tidegate_unread_records Records of a partition" in said


def test_a_port_that_is_taken_is_named_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port}.*TIDEGATE_METRICS__PORT"):
            metrics.serve("127.0.0.1", port)
