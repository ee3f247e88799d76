"""How to reach the MQTT broker (`TIDEGATE_MQTT__…`)."""

from typing import Annotated, Literal
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
    # MQTT 5 lets the broker stop by itself when too much is in flight. `auto` asks for it and falls back to 3.1.1.
    version: Literal["auto", "5", "3.1.1"] = "auto"
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
        parts = urlsplit(url)
        try:
            usable = not url or (parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0)
        except ValueError:  # a port that is no number, or too large
            usable = False
        if not usable:
            message = "an MQTT address looks like mqtt://host:1883 or mqtts://host:8883"
            raise ValueError(message)
        if parts.username is not None or parts.password is not None:
            message = "an MQTT address is shown to people: put the credentials into USERNAME and PASSWORD"
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

    @property
    def address(self) -> str:
        """The broker's address as it is shown to people."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"
