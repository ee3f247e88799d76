"""The regions of the platform: one list, the same file in each, of which workers, MirrorMaker and DNS are told."""

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, IPvAnyNetwork, ValidationError, model_validator

from connectors.errors import ConnectorError

NAME = r"^[a-z0-9-]{1,32}$"
DOMAIN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=255)]


class RegionsError(ConnectorError):
    """The list of regions cannot be used."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cluster(_Part):
    """A region's Kafka, as MirrorMaker reaches it from any region.

    Passwords are not in the list: MirrorMaker takes them from its environment (`Region.password_variable`).
    """

    bootstrap_servers: Annotated[str, Field(min_length=1)]
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str = ""
    # PEM files on the machine that mirrors: whom to trust; our certificate and its key, in one file.
    ssl_ca_location: str = ""
    ssl_keystore_location: str = ""
    # Of the topics that MirrorMaker keeps there.
    replication_factor: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _complete(self) -> Self:
        credentials = bool(self.sasl_mechanism), bool(self.sasl_username)
        if ("SASL" in self.security_protocol) != any(credentials) or any(credentials) != all(credentials):
            message = "sasl_mechanism and sasl_username go with a security_protocol SASL_SSL or SASL_PLAINTEXT"
            raise ValueError(message)
        return self


class Region(_Part):
    """One region: its cluster, where the world reaches it, and who is nearest to it."""

    name: Annotated[str, Field(pattern=NAME)]
    kafka: Cluster
    # Of its load balancers.
    addresses: tuple[IPvAnyAddress, ...] = ()
    # Networks that are sent here, whatever a geographic database says of them.
    nets: tuple[IPvAnyNetwork, ...] = ()
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None

    @property
    def password_variable(self) -> str:
        """Name the variable that MirrorMaker takes the password for this region's cluster from."""
        return f"TIDEGATE_MIRROR_PASSWORD_{self.name.upper().replace('-', '_')}"


class Dns(_Part):
    """How names lead to regions: `in.<zone>` for devices, `api.<zone>` for people and services."""

    zone: Annotated[str, Field(pattern=DOMAIN)]
    # Who resolves a name remembers the answer for so long, at the most: a part of every failover.
    ttl_s: Annotated[int, Field(ge=1, le=86400)] = 10
    # Where load balancers answer to HTTP, without TLS, and to MQTT: the health checks ask there.
    http_port: Port = 80
    mqtt_port: Port = 1883
    interval_s: Annotated[int, Field(ge=2, le=255)] = 3
    timeout_s: Seconds = 2
    # So many checks in a row take a region out, and bring it back.
    failures: Annotated[int, Field(ge=1, le=100)] = 2
    successes: Annotated[int, Field(ge=1, le=100)] = 5
    # A database of the kind GeoIP2 City, by which who is in no region's `nets` is sent to the nearest region.
    geoip2_db: str = ""

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.timeout_s >= self.interval_s:
            message = "timeout_s has to be less than interval_s"
            raise ValueError(message)
        return self


class Regions(_Part):
    """All regions, in the order of preference where nothing else decides."""

    regions: Annotated[tuple[Region, ...], Field(min_length=2)]
    dns: Dns | None = None

    @model_validator(mode="after")
    def _no_two_alike(self) -> Self:
        names = [region.name for region in self.regions]
        # MirrorMaker and variables of the environment know no other difference.
        if len({name.replace("-", "_") for name in names}) < len(names):
            message = "two regions have the same name"
            raise ValueError(message)
        nets = [ipaddress.ip_network(str(net)) for region in self.regions for net in region.nets]
        if len(set(nets)) < len(nets):
            message = "two regions have the same net"
            raise ValueError(message)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(region.name for region in self.regions)

    def others_of(self, here: str) -> tuple[str, ...]:
        """Give the names of all regions but one."""
        return tuple(region.name for region in self.others(here))

    def others(self, here: str) -> tuple[Region, ...]:
        """Give all regions but one."""
        return tuple(region for region in self.regions if region.name != here)


def read(file: Path) -> Regions:
    """Read the list.

    Raises:
        RegionsError: it is not there, is no JSON, or says what cannot be.

    """
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RegionsError(f"the list of regions {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RegionsError(f"the list of regions {file} is no JSON: {error}") from error
    try:
        return Regions.model_validate(said)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc'])) or 'the list'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise RegionsError(f"the list of regions {file} cannot be used: {'; '.join(lines)}") from None
