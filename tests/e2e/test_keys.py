"""Keys, from making one to its end, as the commands do it."""

import json
from pathlib import Path

import pytest

from connectors.embedded import ports
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.timeout(120)]


def test_a_key_is_made_used_listed_and_revoked(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free()
    monkeypatch.setenv("TIDEGATE_HTTP__PORT", str(port))
    gateway = flow.start("gateway", TIDEGATE_HTTP__OPEN="false")
    made = flow.run("keys", "create", "line 4", "--scope", "ingest", "--tenant", "acme", "--days", "1", "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    assert (key["tenant"], key["scopes"]) == ("acme", ["ingest"])
    file = tmp_path / "pump.csv"
    file.write_text("timestamp,value\n2026-03-01 12:00:00,1.5\n2026-03-01 12:01:00,1.6\n")
    publish = ("publish", str(file), "--device", "pump-1", "--metric", "t", "--via", "http", "--json")

    refused = flow.run(*publish)
    assert refused.returncode == 1
    assert "a key is needed" in refused.stderr
    monkeypatch.setenv("TIDEGATE_HTTP__KEY", key["key"])
    sent = flow.run(*publish)
    assert sent.returncode == 0, sent.stderr
    eventually(lambda: flow.fetch("select tenant from devices") == [("acme",)], "the device is the key's tenant's")

    (listed,) = json.loads(flow.run("keys", "list", "--json").stdout).values()
    assert (listed["name"], listed["scopes"], listed["state"]) == ("line 4", ["ingest"], "good")
    secret = key["key"].rpartition("_")[2]
    for output in (flow.run("keys", "list"), flow.run("keys", "revoke", key["id"]), flow.run("keys", "list")):
        assert output.returncode == 0
        assert secret not in output.stdout + output.stderr
    assert json.loads(flow.run("keys", "list", "--json").stdout)[key["id"]]["state"] == "revoked"
    eventually(lambda: flow.run(*publish).returncode == 1, "it opens nothing any more")
    assert secret not in gateway.log.read_text(errors="replace")
    nobody = flow.run("keys", "revoke", "nobody")
    assert (nobody.returncode, nobody.stdout) == (2, "")


def test_a_gateway_for_others_is_never_open(flow: Flow) -> None:
    refused = flow.run("gateway", TIDEGATE_HTTP__HOST="0.0.0.0", TIDEGATE_HTTP__PORT="0")  # it is not bound
    assert refused.returncode == 2
    assert "tidegate keys create" in refused.stderr
    assert "Traceback" not in refused.stderr
