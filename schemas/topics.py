"""The one list of topics: what is in them, how they are cut, how long they are kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from schemas.registry import ANALYSIS_REQUEST, DEAD_LETTER, INSIGHT, PUBLISHED, READING, SchemaVersion

DEFAULT_PARTITIONS = 8
MAX_MESSAGE_BYTES = 1024 * 1024
MIRRORED_MESSAGE_BYTES = 64 * MAX_MESSAGE_BYTES
# Between the name of a region and that of a topic.
SEPARATOR = "."


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
    # The region that the records come from; empty: they are of this one.
    home: str = ""

    def configuration(self) -> dict[str, str]:
        """Give the broker's settings for this topic.

        The timestamp is the broker's, whatever a device's clock says: it is the time of acceptance, and retention and
        the choice between conflicting readings depend on it. Mirrored records keep the timestamps that they had at
        home: they were accepted there.
        """
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(int(self.retention.total_seconds() * 1000)),
            "message.timestamp.type": "CreateTime" if self.home else "LogAppendTime",
            "max.message.bytes": str(self.max_message_bytes),
        }

    def of(self, region: str) -> "Topic":
        """Give this topic as another region's records arrive in it: `<region>.<topic>` (MirrorMaker 2's own naming).

        A record may be much longer there than at home, where it could have been packed better.
        """
        name = f"{region}{SEPARATOR}{self.name}"
        return replace(self, name=name, home=region, mirrored=False, max_message_bytes=MIRRORED_MESSAGE_BYTES)


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


def mirrors(regions: Iterable[str]) -> tuple[Topic, ...]:
    """Give the topics in which the records of other regions arrive."""
    return tuple(topic.of(region) for region in regions for topic in TOPICS if topic.mirrored)


def home_of(topic: str) -> str:
    """Give the region that a topic's records come from, by its name; empty: this one."""
    return topic.rpartition(SEPARATOR)[0]


# The versions of each subject, oldest first. The usual naming: a topic's values have the subject `<topic>-value`.
SUBJECTS: Mapping[str, tuple[SchemaVersion, ...]] = {
    f"{topic.name}-value": tuple(version for version in PUBLISHED if version.name == topic.schema.name)
    for topic in TOPICS
}
