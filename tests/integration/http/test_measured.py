"""The gateway tells Prometheus what it answered, by its own routes alone."""

import re
from collections.abc import Callable

import pytest

from connectors.http.parts import Parts
from tests.integration.http.conftest import Client

pytestmark = [pytest.mark.kafka, pytest.mark.database]


def told(client: Client) -> dict[str, float]:
    answer = client.get("/metrics")
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    found = re.findall(r"(?m)^(tidegate_http_\S+?(?:\{.*\})?) (\S+)$", answer.body.decode())
    return {name: float(value) for name, value in found}


def test_what_was_answered_is_counted_by_route(start: Callable[[Parts], Client], parts: Parts) -> None:
    client = start(parts)
    before = told(client)
    good = {"device_id": "pump-7", "ts": "2026-03-01T12:00:00Z", "metrics": {"t": 1.0}}
    assert client.post([good, {**good, "device_id": "a/b"}]).status == 207
    assert client.get("/v1/devices/pump-7/metrics").status == 200
    assert client.get("/v1/devices/pump-8/metrics").status == 200
    for path in ("/wp-login.php", "/secret-of-somebody"):
        assert client.get(path).status == 404
    assert client.request("BREW", "/v1/devices").status == 405
    after = told(client)

    def more(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert more('tidegate_http_readings_total{outcome="accepted"}') == 1
    assert more('tidegate_http_readings_total{outcome="refused"}') == 1
    requests = 'tidegate_http_requests_total{{method="{}",route="{}",status="{}"}}'
    assert more(requests.format("POST", "/v1/readings", 207)) == 1
    assert more(requests.format("GET", "/v1/devices/{device_id}/metrics", 200)) == 2
    assert more(requests.format("GET", "none", 404)) == 2
    assert more('tidegate_http_seconds_count{route="/v1/readings"}') == 1
    assert not [name for name in after if "secret" in name or "BREW" in name or "pump-7" in name]


def test_an_error_of_ours_is_counted(
    start: Callable[[Parts], Client], parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    client = start(parts)
    monkeypatch.setattr(type(parts.reader), "devices", fail)
    name = 'tidegate_http_requests_total{method="GET",route="/v1/devices",status="500"}'
    before = told(client).get(name, 0)
    assert client.get("/v1/devices").status == 500
    assert told(client)[name] == before + 1
