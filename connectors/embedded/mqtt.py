"""An MQTT broker: an installed `mosquitto`, else `amqtt`, a broker in Python.

Mosquitto keeps sessions, subscriptions and messages that wait for a subscriber in memory, and writes all of them to one
file every second and when it is asked to stop. So a stop loses nothing. A kill (or a crash) loses at most what devices
got acknowledged in the last second and no subscriber had received yet; a connected bridge has received it within
milliseconds. A queue grows without bound while its subscriber is away: memory is the limit, and nothing is dropped.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import sys
from pathlib import Path

from connectors.embedded import ports
from connectors.embedded.choice import Choice, Say, take_first
from connectors.embedded.server import Server, UnavailableError, leashed, output_of, until_ready

SETTING = "TIDEGATE_MQTT__URL"
MOSQUITTO, AMQTT = "mosquitto", "amqtt"
READY_WITHIN_S = 20.0
# Daemons are often installed where an ordinary user's PATH does not lead.
SYSTEM_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/usr/local/opt/mosquitto/sbin")
# MQTT 3.1.1: CONNECT with a clean session, no client id, keep alive 5 s; and the CONNACK that accepts it.
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"
ACCEPTED = b"\x20\x02\x00\x00"


def start(folder: Path, say: Say) -> Server:
    """Start a broker that keeps its sessions in `folder`.

    Raises:
        NothingToStartError, StartError: see `take_first`.

    """
    choices = (Choice(MOSQUITTO, _mosquitto), Choice(AMQTT, _amqtt))
    return take_first("MQTT", SETTING, choices, folder, say)


def _mosquitto(folder: Path, _: Say) -> Server:
    binary = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_PLACES]))
    if binary is None:
        raise UnavailableError("mosquitto is not installed")
    found = re.search(r"mosquitto version ([\w.]+)", output_of([binary, "-h"]))
    if found is None:
        raise UnavailableError(f"{binary} does not run")
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = ports.kept(folder, "mqtt")
    (folder / "mosquitto.conf").write_text(_settings(folder, port), encoding="utf-8")
    log = folder / "server.log"
    process = leashed([binary, "-c", "mosquitto.conf"], folder=folder, log=log)
    until_ready("mosquitto", process, lambda: _ready(port), READY_WITHIN_S)
    url = f"mqtt://{ports.LOOPBACK}:{port}"
    how = f"mosquitto {found.group(1)}, {binary}, at {url}"
    return Server(MOSQUITTO, url, found.group(1), how, folder, log, (process,))


def _settings(folder: Path, port: int) -> str:
    settings = {
        "listener": f"{port} {ports.LOOPBACK}",
        "allow_anonymous": "true",
        "persistence": "true",
        "persistence_location": f"{folder.resolve()}/",
        # Counted in seconds, not in changes: each save writes everything, and the broker stands still meanwhile.
        "autosave_on_changes": "false",
        "autosave_interval": "1",
        # Beyond these limits mosquitto drops in silence, so there are none.
        "max_queued_messages": "0",
        "max_queued_bytes": "0",
        "queue_qos0_messages": "false",
        # To one subscriber at once; its own receive maximum (MQTT 5) counts where it is lower.
        "max_inflight_messages": "4096",
        "log_dest": "stderr",
        "log_type": "warning",
        "connection_messages": "false",
    }
    if os.geteuid() == 0:
        settings["user"] = "root"  # else it becomes an account that cannot write into this folder
    text = "".join(f"{name} {value}\n" for name, value in settings.items())
    return text + "log_type error\nlog_type notice\n"


def _amqtt(folder: Path, say: Say) -> Server:
    if importlib.util.find_spec("amqtt") is None:
        raise UnavailableError("the wheel amqtt is not installed (extra: embedded)")
    version = importlib.metadata.version("amqtt")
    say(f"amqtt {version} keeps sessions and waiting messages in memory only: when it stops they are gone")
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = ports.kept(folder, "mqtt")
    log = folder / "server.log"
    command = [sys.executable, "-m", "connectors.embedded.amqtt_broker", str(port)]
    process = leashed(command, folder=folder, log=log, environment={"PYTHONPATH": os.pathsep.join(sys.path)})
    until_ready("amqtt", process, lambda: _ready(port), READY_WITHIN_S)
    url = f"mqtt://{ports.LOOPBACK}:{port}"
    how = f"amqtt {version}, which keeps waiting messages in memory only, at {url}"
    return Server(AMQTT, url, version, how, folder, log, (process,))


def _ready(port: int) -> bool:
    """Say whether the broker accepts a client."""
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=2.0) as connection:
            connection.sendall(CONNECT)
            return connection.recv(4) == ACCEPTED
    except OSError:
        return False
