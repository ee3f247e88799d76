"""What can go wrong between Tidegate and an MQTT broker, or between the bridge and Kafka."""

from connectors.errors import ConnectorError


class LostError(ConnectorError):
    """The connection to the MQTT broker was lost."""


class RefusedError(ConnectorError):
    """The MQTT broker answered, and refused."""


class TakenOverError(ConnectorError):
    """Another client connected to the MQTT broker with the same client id. Give each bridge its own client id."""


class StalledError(ConnectorError):
    """The MQTT broker has stopped acknowledging messages."""


class UndeliveredError(ConnectorError):
    """Kafka did not take messages that were sent to it again and again."""
