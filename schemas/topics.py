"""The one list of topics: what is in them, how they are cut, how long they are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from schemas.registry import ANALYSIS_REQUEST, DEAD_LETTER, INSIGHT, PUBLISHED, READING, SchemaVersion

DEFAULT_PARTITIONS = 8
MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ours. The key is always the device id in UTF-8, or absent where there is none."""

    name: str
    schema: SchemaVersion
    retention: timedelta
    mirrored: bool
    partitions: int = DEFAULT_PARTITIONS
    dead_letters: str | None = "dead-letters"
    max_message_bytes: int = MAX_MESSAGE_BYTES

    def configuration(self) -> dict[str, str]:
        """Give the broker's settings for this topic.

        The timestamp is the broker's, whatever a device's clock says: it is the time of acceptance, and retention and
        the choice between conflicting readings depend on it. (A mirrored topic is not made from this list: it keeps
        the timestamps that the records had at home.)
        """
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(int(self.retention.total_seconds() * 1000)),
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(self.max_message_bytes),
        }


READINGS = Topic("readings", READING, timedelta(days=7), mirrored=True)
ANALYSIS_REQUESTS = Topic("analysis-requests", ANALYSIS_REQUEST, timedelta(days=7), mirrored=False)
INSIGHTS = Topic("insights", INSIGHT, timedelta(days=30), mirrored=True)
# A letter holds the whole of a record that may be as long as its topic allows.
DEAD_LETTERS = Topic(
    "dead-letters",
    DEAD_LETTER,
    timedelta(days=30),
    mirrored=False,
    dead_letters=None,
    max_message_bytes=2 * MAX_MESSAGE_BYTES,
)

TOPICS: tuple[Topic, ...] = (READINGS, ANALYSIS_REQUESTS, INSIGHTS, DEAD_LETTERS)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}

# The versions of each subject, oldest first. The usual naming: a topic's values have the subject `<topic>-value`.
SUBJECTS: Mapping[str, tuple[SchemaVersion, ...]] = {
    f"{topic.name}-value": tuple(version for version in PUBLISHED if version.name == topic.schema.name)
    for topic in TOPICS
}
