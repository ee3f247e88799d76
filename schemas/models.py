"""The records as Python objects: pydantic models that mirror the Avro files field by field.

They check what people and services hand over one at a time; the fast lane checks the same rules on columns
(`streams/columns/validate`), and a property test holds the two together.
"""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.fields import Direction, Finite, Int, Long, Name, Severity, Source, Storable, String, Text, Timestamp, Uuid

# How far a device's clock may run ahead of the acceptance of its reading.
MAX_AHEAD = timedelta(hours=1)
# How long a window may be that is looked up in the table.
MAX_ASKED = timedelta(days=31)

Count = Annotated[Long, Field(ge=0)]
Partition = Annotated[Int, Field(ge=0)]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class Record(BaseModel):
    """What all records of the contract share: frozen, and nothing unknown goes by unseen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reading(Record):
    """What a device measured at one instant."""

    device_id: Name
    ts: Timestamp
    metrics: dict[Name, Finite] = Field(min_length=1)
    units: dict[String, String] = Field(default_factory=dict)
    tags: dict[String, String] = Field(default_factory=dict)
    seq: Long | None = None


class Sample(Record):
    """One reading of one metric inside a window."""

    ts: Timestamp
    value: Finite


class AnalysisRequest(Record):
    """A window of one metric of one device that deserves an explanation, or a question about a device.

    Without a `topic` the window has not been read from the log: whoever answers reads it from the table, and the
    figures from `direction` to `spread` and the samples mean nothing until then.
    """

    id: Uuid
    region: Storable = ""
    tenant: Storable = ""
    device_id: Name
    device_class: Storable = ""
    metric: Name
    unit: Storable = ""
    kind: Storable
    direction: Direction = Direction.NONE
    severity: Severity
    score: Unit
    value: Finite
    baseline: Finite
    spread: Finite
    window_start: Timestamp
    window_end: Timestamp
    accepted: Timestamp
    samples: tuple[Sample, ...] = ()
    topic: Storable
    partition: Partition
    first_offset: Count
    last_offset: Count
    question: Storable | None = None
    # Which questions belong together.
    conversation: Storable | None = None
    # When it may be answered: from the one on, and before the other.
    not_before: Timestamp | None = None
    expires: Timestamp | None = None

    @classmethod
    def of_table(  # noqa: PLR0913  # each is a fact of its own
        cls,
        *,
        request_id: str,
        region: str,
        device_id: str,
        metric: str,
        kind: str,
        window: tuple[datetime, datetime],
        question: str | None = None,
        conversation: str | None = None,
    ) -> Self:
        """Make a request whose window whoever answers reads from the table.

        Raises:
            pydantic.ValidationError: one of them breaks a rule of its field.

        """
        start, end = window
        return cls(
            id=request_id,
            region=region,
            device_id=device_id,
            metric=metric,
            kind=kind,
            severity=Severity.INFO,
            score=0.0,
            value=0.0,
            baseline=0.0,
            spread=0.0,
            window_start=start,
            window_end=end,
            accepted=end,
            topic="",
            partition=0,
            first_offset=0,
            last_offset=0,
            question=question,
            conversation=conversation,
        )


class Insight(Record):
    """What was found out about a window, who said it, from what, and what it cost.

    Without a `topic` the window was read from the table, and the partition and offsets mean nothing.
    """

    id: Uuid
    request_id: Uuid
    region: Storable = ""
    tenant: Storable = ""
    device_id: Name
    metric: Name
    window_start: Timestamp
    window_end: Timestamp
    kind: Storable
    severity: Severity
    summary: Text
    probable_causes: tuple[Text, ...] = ()
    recommended_actions: tuple[Text, ...] = ()
    confidence: Unit
    source: Source
    model: Storable | None = None
    prompt_hash: Storable | None = None
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost_usd: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    topic: Storable
    partition: Partition
    first_offset: Count
    last_offset: Count
    latency_s: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    created: Timestamp


class DeadLetter(Record):
    """What could not be used: its original bytes, where it stood, why it was refused, and by which stage."""

    id: String
    region: String = ""
    stage: String
    reason: String
    detail: String = ""
    topic: String
    partition: Int | None = None
    offset: Long | None = None
    accepted: Timestamp | None = None
    key: bytes | None = None
    value: bytes | None = None
    headers: dict[String, bytes] = Field(default_factory=dict)
    created: Timestamp
