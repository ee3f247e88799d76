"""Every setting, in one place: the only module that reads the environment (`TIDEGATE_…`).

Sections are joined by two underscores: `TIDEGATE_KAFKA__BOOTSTRAP_SERVERS`. Each connector describes its own section in
its own `settings.py`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from connectors import regions
from connectors.cache.settings import CacheSettings
from connectors.http.settings import HttpSettings
from connectors.kafka.settings import KafkaSettings
from connectors.llm.settings import Endpoint, LlmSettings
from connectors.mqtt.settings import MqttSettings
from connectors.redis.settings import RedisSettings
from connectors.regions import RegionsError
from connectors.registry.settings import RegistrySettings
from connectors.timescale.settings import DatabaseSettings
from connectors.webhooks.settings import Webhook
from schemas.errors import TidegateError

PREFIX = "TIDEGATE_"
Seconds = Annotated[float, Field(gt=0)]


class SettingsError(TidegateError):
    """A setting has a value that cannot be used."""


class LaneName(StrEnum):
    """The lanes; each is a Faust app, a consumer group and a process of its own."""

    INGEST = "ingest"
    ANALYZE = "analyze"
    # What other regions have accepted and said; there is one only where there are other regions.
    MIRROR = "mirror"


class LogFormat(StrEnum):
    """How the log is written: `auto` is text at a terminal, and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class IngestSettings(BaseModel):
    """The fast lane (`TIDEGATE_INGEST__…`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # At the most: nothing waits for a batch to fill, but while one is stored the next one grows.
    batch_records: Annotated[int, Field(ge=1)] = 20_000
    # Connections to the database that rows are stored through at once, each with partitions of its own.
    connections: Annotated[int, Field(ge=1, le=16)] = 4
    detection: bool = True
    # For the memory of what a series looked like, which the full tier of detection has: of each partition, 11 KiB a
    # series. The first series that speak get it; the light tier watches the others.
    detection_full_mib: Annotated[int, Field(ge=0)] = 16
    # Bounds of the adaptive interval between two detector snapshots.
    snapshot_min_s: Seconds = 1.0
    snapshot_max_s: Seconds = 30.0
    # Writing snapshots may take this part of the time at the most.
    snapshot_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    # A worker stops when more than this share of the last 1,000 records, of ten devices or more, cannot be used; with 1
    # it never does, and all of them go to dead-letters.
    poison_limit: Annotated[float, Field(gt=0, le=1)] = 0.5


class AnalyzeSettings(BaseModel):
    """The slow lane (`TIDEGATE_ANALYZE__…`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Whether every series is summed up for each hour or day. Each summary costs a window of a model call.
    summaries: Literal["off", "hour", "day"] = "off"


class MetricsSettings(BaseModel):
    """Where the parts of the flow tell Prometheus about themselves (`TIDEGATE_METRICS__…`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    # Of the fast lane's worker; the slow lane's, the bridge, the gateway and the mirror lane's take those after it.
    # Without a port nothing listens. (A gateway answers beside its other routes, too, with a key.)
    port: Annotated[int, Field(ge=1, le=65531)] | None = None


class TracingSettings(BaseModel):
    """Where traces go (`TIDEGATE_TRACING__…`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A collector's address for OTLP over HTTP, as http://collector:4318. Without one nothing is traced.
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^\s]+)?$")] = ""
    # Of so many messages, requests and questions traces are begun.
    sample: Annotated[float, Field(ge=0, le=1)] = 0.01


class OpenAISettings(BaseSettings):
    """The two variables that every OpenAI client reads."""

    model_config = SettingsConfigDict(env_prefix="OPENAI_", frozen=True, extra="ignore")

    api_key: SecretStr = SecretStr("")
    base_url: str = ""


class _Environment(EnvSettingsSource):
    """The environment; what should be JSON and is not is left for the models to refuse, which name the variable."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ANN401  # as in the base class
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(BaseSettings):
    """All that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,32}$")] = ""
    # A JSON file with all regions (`connectors.regions`), `region` among them. Not set: there is only this one.
    regions_file: Path | None = None
    # Known to all regions and to nobody else: by it a region knows another one's replays for what they are.
    regions_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    data_dir: Path = Path(".tidegate")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    log_format: LogFormat = LogFormat.AUTO
    kafka: KafkaSettings = KafkaSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    mqtt: MqttSettings = MqttSettings()
    http: HttpSettings = HttpSettings()
    registry: RegistrySettings = RegistrySettings()
    llm: LlmSettings = LlmSettings()
    cache: CacheSettings = CacheSettings()
    ingest: IngestSettings = IngestSettings()
    analyze: AnalyzeSettings = AnalyzeSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    webhooks: tuple[Webhook, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # replaced
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # not read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # not read
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments, then the environment."""
        return init_settings, _Environment(settings_cls)

    @property
    def peers(self) -> tuple[str, ...]:
        """The names of the other regions.

        Raises:
            RegionsError: the list of regions cannot be used any more.

        """
        return () if self.regions_file is None else regions.read(self.regions_file).others_of(self.region)

    @property
    def shared(self) -> str:
        """The secret that the regions share; empty: they share none."""
        return "" if self.regions_secret is None else self.regions_secret.get_secret_value()

    @model_validator(mode="after")
    def _in_the_list(self) -> Self:
        if self.regions_file is None:
            return self
        try:
            names = regions.read(self.regions_file).names
        except RegionsError as error:
            raise ValueError(str(error)) from None
        if self.region not in names:
            message = f"TIDEGATE_REGION has to be one of those in {self.regions_file}: {', '.join(names)}"
            raise ValueError(message)
        return self

    @field_validator("webhooks")
    @classmethod
    def _names_are_of_one_each(cls, webhooks: tuple[Webhook, ...]) -> tuple[Webhook, ...]:
        if len({hook.name for hook in webhooks}) < len(webhooks):
            message = "two webhooks have the same name"
            raise ValueError(message)
        return webhooks

    @field_validator("llm")
    @classmethod
    def _openai_is_enough(cls, llm: LlmSettings) -> LlmSettings:
        """Make an endpoint of `OPENAI_API_KEY` and `OPENAI_BASE_URL` where none is listed."""
        if llm.endpoints or llm.endpoints_file is not None:
            return llm
        openai = OpenAISettings()
        if not openai.api_key.get_secret_value() and not openai.base_url:
            return llm
        endpoint = Endpoint(name="openai", base_url=openai.base_url, api_key=openai.api_key)
        return llm.model_copy(update={"endpoints": (endpoint,)})


# What pydantic says in Python's words.
_EXPECTED = {
    "extra_forbidden": "There is no such setting",
    "model_type": "A section is set by its parts, or as a JSON object",
    "tuple_type": "A JSON list is expected",
}


def load() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: names each variable that cannot be used, and why; never its value, which may be a secret.

    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        variable = PREFIX + "__".join(str(part).upper() for part in problem["loc"])
        lines.append(f"{variable}: {_EXPECTED.get(problem['type'], problem['msg'])}")
    return "\n".join(lines)
