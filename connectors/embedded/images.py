"""Which images run Kafka, TimescaleDB and Valkey, and with which settings: those of `docker-compose.kafka.yml`.

A test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Image:
    """What a server needs to run as a container."""

    name: str
    port: int
    # Where the image keeps its data.
    volume: str
    # A line for the image's shell that ends with 0 when the server answers.
    healthcheck: str
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    command: tuple[str, ...] = ()


KAFKA: Final = Image(
    name="apache/kafka:4.3.1",
    port=9092,
    volume="/var/lib/kafka/data",
    # By the inner listener: the outer one is advertised under an address that only the host can reach.
    healthcheck="/opt/kafka/bin/kafka-broker-api-versions.sh --bootstrap-server localhost:19092 > /dev/null",
    environment=MappingProxyType(
        {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENERS": "CONTROLLER://localhost:9093,INTERNAL://:19092,EXTERNAL://:9092",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
            "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
            # A mistyped name must fail, not make a topic with the wrong partitions and timestamps.
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_HEAP_OPTS": "-Xms512m -Xmx512m",
        }
    ),
)

TIMESCALE: Final = Image(
    name="timescale/timescaledb-ha:pg18.4-ts2.29.2",
    port=5432,
    volume="/home/postgres/pgdata",
    # By TCP: while the database is being made, a temporary server answers on the Unix socket alone.
    healthcheck="pg_isready -q -h 127.0.0.1 -U tidegate -d tidegate",
    environment=MappingProxyType(
        {"POSTGRES_USER": "tidegate", "POSTGRES_DB": "tidegate", "TIMESCALEDB_TELEMETRY": "off"}
    ),
)

VALKEY: Final = Image(
    name="valkey/valkey:9.1.2-alpine",
    port=6379,
    volume="/data",
    healthcheck="valkey-cli ping | grep -q PONG",
    # Tasks and reservations live here: they are kept over a restart, and never evicted.
    command=("valkey-server", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"),
)
