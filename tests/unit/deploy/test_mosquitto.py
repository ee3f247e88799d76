"""The broker's configuration: a real mosquitto takes it, and it keeps as much as the embedded one."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

CONFIGURATION = (Path(__file__).parents[3] / "deploy/mosquitto.conf").read_text("utf-8")
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
DURABLE = {
    "persistence",
    "autosave_on_changes",
    "autosave_interval",
    "max_queued_messages",
    "max_queued_bytes",
    "max_inflight_messages",
    "queue_qos0_messages",
}
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"
ACCEPTED = b"\x20\x02\x00\x00"


def directives(text: str) -> dict[str, str]:
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value for name, value in lines if name in DURABLE}


def test_it_is_as_durable_as_the_embedded_broker(tmp_path: Path) -> None:
    mqtt = pytest.importorskip("connectors.embedded.mqtt", reason="the embedded broker is not here")
    embedded = directives(mqtt._settings(tmp_path, 1883))  # noqa: SLF001  # the very text that mosquitto is given
    assert directives(CONFIGURATION) == embedded
    assert embedded.keys() == DURABLE


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_mosquitto_takes_it(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = re.sub(r"(?m)^listener 1883$", f"listener {port} 127.0.0.1", CONFIGURATION)
    text = text.replace("/mosquitto/data/", f"{tmp_path}/")
    (tmp_path / "mosquitto.conf").write_text(text + "user root\n", "utf-8")
    log = tmp_path / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen([str(MOSQUITTO), "-c", tmp_path / "mosquitto.conf"], stdout=sink, stderr=sink)  # noqa: S603  # a program of the system
    try:
        end = time.monotonic() + 20
        while not _accepts(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
    finally:
        process.terminate()
        process.wait(20)
    complaints = [line for line in log.read_text().splitlines() if re.search("Error|Warning", line)]
    assert [line for line in complaints if "should not be run as root" not in line] == []
    assert (tmp_path / "mosquitto.db").exists(), "it writes what it keeps when it stops"


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(CONNECT)
            return connection.recv(4) == ACCEPTED
    except OSError:
        return False
