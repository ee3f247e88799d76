"""How to reach Kafka (`TIDEGATE_KAFKA__…`)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

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

    @model_validator(mode="after")
    def _complete(self) -> "KafkaSettings":
        credentials = bool(self.sasl_mechanism), bool(self.sasl_username), bool(self.sasl_password.get_secret_value())
        if "SASL" in self.security_protocol and not all(credentials):
            message = "security_protocol SASL_… needs sasl_mechanism, sasl_username and sasl_password"
            raise ValueError(message)
        if any(credentials) and "SASL" not in self.security_protocol:
            message = "credentials are for a security_protocol SASL_SSL, or SASL_PLAINTEXT"
            raise ValueError(message)
        files = (self.ssl_ca_location, self.ssl_certificate_location, self.ssl_key_location)
        if any(files) and "SSL" not in self.security_protocol:
            message = "certificates are for a security_protocol SSL or SASL_SSL"
            raise ValueError(message)
        # What is no file would end in the client's own words, far from here.
        missing = [file for file in files if file and not Path(file).is_file()]
        if missing:
            message = f"there is no file {missing[0]}"
            raise ValueError(message)
        return self

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
