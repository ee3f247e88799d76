"""Keys, from making one to its end, as the commands do it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from connectors.embedded import ports
from connectors.embedded.mqtt import SYSTEM_PLACES
from tests.e2e.conftest import Flow, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.timeout(300)]


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


def test_the_broker_is_told_the_same_of_whose_devices_are_whose(flow: Flow, tmp_path: Path) -> None:
    mosquitto = shutil.which("mosquitto", path=os.pathsep.join([os.environ["PATH"], *SYSTEM_PLACES]))
    if mosquitto is None:
        pytest.skip("mosquitto is not installed")
    assert flow.run("keys", "own", "acme", "pump-1", "my pump").returncode == 0
    assert flow.run("keys", "own", "acme", "a/b").returncode == 2
    assert flow.run("keys", "own", "other", "pump-2").returncode == 0
    printed = flow.run("keys", "acl", "--bridge", "tidegate")
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "acl").write_text(printed.stdout)
    users = ("tidegate", "acme", "other", "pump-2")
    (tmp_path / "passwords").write_text("".join(f"{user}:secret\n" for user in users))
    subprocess.run([f"{mosquitto}_passwd".replace("sbin", "bin"), "-U", str(tmp_path / "passwords")], check=True)  # noqa: S603  # of the system
    port = ports.free()
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\nuser root\n"
        f"password_file {tmp_path}/passwords\nacl_file {tmp_path}/acl\n"
    )
    with (tmp_path / "log").open("wb") as log:
        broker = subprocess.Popen([mosquitto, "-c", str(tmp_path / "mosquitto.conf")], stdout=log, stderr=log)  # noqa: S603  # of the system
    try:
        published = {
            (user, device): _publishes(port, user, device)
            for user in ("acme", "other", "pump-2")
            for device in ("pump-1", "my pump", "pump-2", "unknown")
        }
    finally:
        broker.terminate()
        broker.wait(20)
    allowed = {("acme", "pump-1"), ("acme", "my pump"), ("other", "pump-2"), ("pump-2", "pump-2")}
    assert {pair for pair, may in published.items() if may} == allowed


def _publishes(port: int, user: str, device: str) -> bool:
    """Publish as a user would, and say whether the bridge's user is given it."""
    heard: list[bytes] = []
    reader, writer = (mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5) for _ in range(2))
    acknowledged: list[int] = []
    reader.username_pw_set("tidegate", "secret")
    reader.on_message = lambda *args: heard.append(args[2].payload)
    subscribed: list[int] = []
    reader.on_subscribe = lambda *args: subscribed.append(args[2])
    writer.username_pw_set(user, "secret")
    writer.on_publish = lambda *args: acknowledged.append(args[3].value)
    for client in (reader, writer):
        eventually(lambda client=client: _connects(client, port), "the broker answers")  # type: ignore[misc]  # bound
        client.loop_start()
    try:
        reader.subscribe("devices/+/readings", 1)
        eventually(lambda: bool(subscribed), "it has subscribed")
        writer.publish(f"devices/{device}/readings", b"{}", 1)
        eventually(lambda: bool(acknowledged), "the broker has acknowledged")
        if acknowledged[0] == 0:
            eventually(lambda: bool(heard), "the bridge's user was given it")
        return bool(heard)
    finally:
        for client in (reader, writer):
            client.disconnect()
            client.loop_stop()


def _connects(client: mqtt.Client, port: int) -> bool:
    try:
        return client.connect("127.0.0.1", port) == 0
    except OSError:
        return False
