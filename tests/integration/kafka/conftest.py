"""A topic of three partitions for each test."""

from dataclasses import replace

import pytest

from connectors.embedded.server import Server
from connectors.kafka.admin import Admin
from connectors.kafka.settings import KafkaSettings
from schemas.topics import READINGS


@pytest.fixture
def kafka(kafka_server: Server) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_server.address, partitions=3)


@pytest.fixture
def topic(kafka: KafkaSettings, topic_name: str) -> str:
    Admin(kafka).apply([replace(READINGS, name=topic_name)])
    return topic_name
