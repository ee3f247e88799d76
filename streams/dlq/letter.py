"""A dead letter as people look at it: where it is, what it is about, and what its bytes say if they can be read."""

import json
from dataclasses import dataclass
from typing import Any, Final

from schemas.codec import decode_dict
from schemas.errors import PoisonError
from schemas.models import DeadLetter
from schemas.registry import SchemaVersion
from schemas.topics import BY_NAME

# The stages that letters come from.
INGEST, ANALYZE, MQTT, SINK, WEBHOOK = "ingest", "analyze", "mqtt", "sink", "webhook"
# Payloads that are JSON and no record of ours.
_TEXTS: Final = frozenset({MQTT, WEBHOOK})


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, and its own coordinates in `dead-letters`."""

    said: DeadLetter
    partition: int
    offset: int

    @property
    def device(self) -> str:
        """Whose it is, as far as its key says."""
        return (self.said.key or b"").decode(errors="replace")

    @property
    def schema(self) -> SchemaVersion | None:
        """The schema that its bytes should have, if they are a record of ours."""
        if self.said.stage in _TEXTS:
            return None
        topic = self.said.topic
        found = BY_NAME.get(topic) or BY_NAME.get(topic.rpartition(".")[2])
        return None if found is None else found.schema

    def content(self) -> dict[str, Any] | None:
        """Give what its bytes say: the fields of a record, or an object of JSON; None where they say neither."""
        value = self.said.value
        if value is None:
            return None
        try:
            if self.schema is not None:
                return decode_dict(value, self.schema)
            content = json.loads(value)
        except (PoisonError, ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def facts(self) -> dict[str, Any]:
        """Give what an expression may ask of it: its own fields, and before them those of its content."""
        said = self.said
        own: dict[str, Any] = {
            "id": said.id,
            "stage": said.stage,
            "reason": said.reason,
            "detail": said.detail,
            "topic": said.topic,
            "partition": said.partition,
            "offset": said.offset,
            "accepted": said.accepted or said.created,
            "created": said.created,
            "key": self.device,
        }
        return (self.content() or {}) | own
