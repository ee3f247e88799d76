"""How to reach the database, and what it keeps (`TIDEGATE_DATABASE__…`)."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Days = Annotated[int, Field(ge=1)]


class ConflictPolicy(StrEnum):
    """Which of two different values for the same device, metric and instant stands."""

    FIRST = "first"
    LAST = "last"


class DatabaseSettings(BaseModel):
    """One database. An empty `url` means: start an embedded PostgreSQL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A URL may carry a password, so it is never printed.
    url: SecretStr = SecretStr("")
    conflict_policy: ConflictPolicy = ConflictPolicy.FIRST
    # How much of the hypertable is one chunk, in days (an hour: 0.042): the index of the newest should fit into a
    # quarter of the memory. `tidegate plan` says how long that is.
    chunk_days: Annotated[float, Field(ge=1 / 24)] = 1
    # Chunks older than this become columnar (TimescaleDB only).
    columnstore_after_days: Days = 3
    # Readings older than this are deleted. Not set: nothing is ever deleted.
    retention_days: Days | None = None
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    pool_size: Annotated[int, Field(ge=1)] = 4
