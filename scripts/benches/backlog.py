"""A backlog at the MQTT broker: messages that wait for one client, so that nothing but this client is the limit.

The client's session is made here, as the client itself would make it, then messages are published, and only when all of
them wait does the client start.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from connectors.mqtt.client import Connection
from connectors.mqtt.publisher import Publisher
from connectors.mqtt.settings import MqttSettings

SUBSCRIBED_WITHIN_S = 5.0
TURN_S = 0.25


@contextmanager
def waiting_for(client_id: str, mqtt: MqttSettings, messages: Sequence[tuple[str, bytes]]) -> Iterator[None]:
    """Let messages wait for a client, at QoS 1; at the end its session is gone, with what is left of them.

    Raises:
        ConnectorError: the broker does not answer, does not grant the subscription, or takes no message.

    """
    _forget(mqtt, client_id)
    try:
        _subscribe(mqtt, client_id)
        with Publisher(mqtt) as publisher:
            for topic, payload in messages:
                publisher.publish(topic, payload)
            publisher.flush()
        yield
    finally:
        _forget(mqtt, client_id)


def _subscribe(mqtt: MqttSettings, client_id: str) -> None:
    """Make the session with its subscription; it stays when the connection ends."""
    connection = Connection(mqtt, client_id, session=True)
    try:
        connection.open()
        connection.subscribe(mqtt.topic_filter)
        deadline = time.monotonic() + SUBSCRIBED_WITHIN_S
        while not connection.subscribed and time.monotonic() < deadline:
            connection.turn(TURN_S)
    finally:
        connection.close()


def _forget(mqtt: MqttSettings, client_id: str) -> None:
    """Connect without a session, which ends the one that there was."""
    connection = Connection(mqtt, client_id, session=False)
    try:
        connection.open()
    finally:
        connection.close()
