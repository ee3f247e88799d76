"""How to reach the MQTT broker (`TIDEGATE_MQTT__…`)."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

SCHEMES = {"mqtt": 1883, "mqtts": 8883}


class MqttSettings(BaseModel):
    """One broker, and how the bridge listens to it. Empty `url` means: start an embedded broker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    # The broker keeps this client's session, and what was not acknowledged, while the bridge is away.
    client_id: str = "tidegate-bridge"
    # Disjoint filters split the devices between bridges; each bridge then needs a client_id of its own.
    topic_filter: str = "devices/+/readings"
    # How many messages may wait for Kafka's acknowledgement at once; the broker sends no more than that.
    in_flight: Annotated[int, Field(ge=1, le=65535)] = 2000
    keepalive_s: Annotated[int, Field(ge=5)] = 30
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in SCHEMES or not urlsplit(url).hostname):
            message = "an MQTT address looks like mqtt://host:1883 or mqtts://host:8883"
            raise ValueError(message)
        return url

    @property
    def tls(self) -> bool:
        """Say whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def host(self) -> str:
        """The broker's host name."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port."""
        parts = urlsplit(self.url)
        return parts.port or SCHEMES.get(parts.scheme, 1883)
