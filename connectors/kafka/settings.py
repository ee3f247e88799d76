"""How to reach Kafka (`TIDEGATE_KAFKA__…`)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0)]


class KafkaSettings(BaseModel):
    """One cluster. Empty `bootstrap_servers` means: start an embedded broker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = ""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_ca_location: str = ""
    ssl_certificate_location: str = ""
    ssl_key_location: str = ""
    # Of topics that we create; not set: as schemas/topics.py says.
    partitions: Annotated[int, Field(ge=1)] | None = None
    replication_factor: Annotated[int, Field(ge=1)] = 1
    connect_timeout_s: Seconds = 5.0
    delivery_timeout_s: Seconds = 120.0
    group_prefix: str = "tidegate"
    # After this long without a sign of life a worker counts as dead, and its partitions go to others.
    session_timeout_s: Annotated[float, Field(ge=6, le=60)] = 15.0

    def group(self, lane: str) -> str:
        """Give the name of a lane's consumer group."""
        return f"{self.group_prefix}-{lane}"

    def client(self) -> dict[str, str | int | float | bool]:
        """Give the settings that every librdkafka client of ours starts from."""
        settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "client.id": "tidegate",
        }
        optional: dict[str, str] = {
            "sasl.mechanism": self.sasl_mechanism or "",
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password.get_secret_value(),
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
        }
        settings.update({name: value for name, value in optional.items() if value})
        return settings
