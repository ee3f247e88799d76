"""The subscribers that the bench `publish` measures: the bridge, what others write in its place, and two that count.

Each is a process with a client id of its own, for which messages wait at the broker (`backlog.py`).
"""

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from connectors.embedded.server import output_of
from connectors.mqtt.settings import MqttSettings
from scripts.benches import commits
from scripts.benches.commits import Span
from scripts.benches.servers import environment as tidegate_environment
from streams.settings import Settings

PEERS = Path(__file__).with_name("peers")

BRIDGE = "tidegate, bridge"
FORWARDER = "paho to confluent-kafka, acknowledges at once"
COUNTER = "paho, counts only"
MOSQUITTO_SUB = "mosquitto_sub, counts only"

CLIENT_ID = "tidegate-bench-{}"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A command. `to_kafka`: its work shows in the topic `readings`; else it says itself when it has received what."""

    name: str
    command: Sequence[str]
    to_kafka: bool

    @property
    def client_id(self) -> str:
        """Its name at the broker, short enough for MQTT 3.1.1."""
        return CLIENT_ID.format("-".join(re.findall("[a-z]+", self.name.lower()))[:20])

    def variables(self, settings: Settings, messages: int) -> dict[str, str]:
        """Tell it where everything is."""
        return {
            **tidegate_environment(settings),
            "TIDEGATE_MQTT__CLIENT_ID": self.client_id,
            "BENCH_MQTT": settings.mqtt.url,
            "BENCH_KAFKA": settings.kafka.bootstrap_servers,
            "BENCH_CLIENT_ID": self.client_id,
            "BENCH_MESSAGES": str(messages),
        }


_OWN = (
    Subscriber(BRIDGE, (sys.executable, "-m", "streams.cli.main", "bridge"), to_kafka=True),
    Subscriber(FORWARDER, (sys.executable, str(PEERS / "mqtt_to_kafka.py")), to_kafka=True),
    Subscriber(COUNTER, (sys.executable, str(PEERS / "mqtt_count.py")), to_kafka=False),
)


def ready(mqtt: MqttSettings, messages: int) -> tuple[list[Subscriber], Mapping[str, str]]:
    """Give the subscribers that can be measured here, and of mosquitto's own which it is, or why it is not measured."""
    binary = shutil.which("mosquitto_sub")
    plain = not mqtt.tls and not mqtt.username
    if binary is None or not plain:
        why = "it is not installed" if binary is None else "the broker asks for TLS or a password"
        return list(_OWN), {"mosquitto_sub": f"not measured: {why}"}
    command = [binary, "-h", mqtt.host, "-p", str(mqtt.port), "-c", "-q", "1", "-t", mqtt.topic_filter]
    # One line for each message, its time; it ends by itself after the last, and then nothing is left in its buffer.
    own = Subscriber(MOSQUITTO_SUB, (), to_kafka=False)
    command += ["-i", own.client_id, "-C", str(messages), "-F", "%U"]
    version = re.search(r"version (\d[\w.]*)", output_of([binary, "--help"]))
    found = Subscriber(own.name, command, to_kafka=False)
    return [*_OWN, found], {"mosquitto_sub": version.group(1) if version else "of unknown version"}


def span(log: str) -> Span | None:
    """Find the span to be measured in what a counting subscriber printed: `time count`, or a time for each message.

    A line that is not complete yet, or says something else, is passed over.
    """
    found = re.findall(r"^(\d+\.\d+)(?: (\d+))?\n", log, re.MULTILINE)
    counts = [int(count) if count else number for number, (_, count) in enumerate(found, 1)]
    return commits.span(np.array([float(at) for at, _ in found]), np.diff(counts, prepend=0))


def received(log: str) -> int:
    """Say how many messages a counting subscriber has received so far."""
    lines = re.findall(r"^\d+\.\d+(?: (\d+))?\n", log, re.MULTILINE)
    return int(lines[-1] or len(lines)) if lines else 0
