"""Is what the settings name really there? Asked before anything is started, so that the answer comes within seconds."""

import socket

from connectors.errors import UnreachableError
from connectors.kafka.admin import Admin
from connectors.mqtt.settings import MqttSettings
from connectors.redis.client import connect as connect_redis
from connectors.timescale.connection import connect as connect_database
from streams.settings import Settings


def check(settings: Settings) -> None:
    """Reach every server that has an address in the settings.

    Raises:
        UnreachableError: the first that does not answer, with its address and its setting.

    """
    if settings.kafka.bootstrap_servers:
        Admin(settings.kafka).cluster_id()
    if settings.database.url.get_secret_value():
        connect_database(settings.database).close()
    if settings.redis.url.get_secret_value():
        connect_redis(settings.redis).close()
    if settings.mqtt.url:
        check_mqtt(settings.mqtt)


def check_mqtt(mqtt: MqttSettings) -> None:
    """See whether anything listens where the MQTT broker should; who it is shows when somebody connects.

    Raises:
        UnreachableError: nothing does.

    """
    try:
        socket.create_connection((mqtt.host, mqtt.port), timeout=mqtt.connect_timeout_s).close()
    except OSError as error:
        address = f"{mqtt.host}:{mqtt.port}"
        raise UnreachableError("The MQTT broker", address, "TIDEGATE_MQTT__URL", str(error)) from error
