"""The list of topics is a contract with every client (design: topics)."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.codec import encode
from schemas.models import DeadLetter
from schemas.topics import BY_NAME, DEAD_LETTERS, READINGS, TOPICS, Topic, home_of, mirrors

DAY_MS = 24 * 60 * 60 * 1000


def test_names_schemas_and_what_is_mirrored() -> None:
    assert {topic.name: (topic.schema.name, topic.mirrored, topic.dead_letters) for topic in TOPICS} == {
        "readings": ("reading", True, "dead-letters"),
        "analysis-requests": ("analysis_request", False, "dead-letters"),
        "insights": ("insight", True, "dead-letters"),
        "dead-letters": ("dead_letter", False, None),
    }


def test_each_topic_is_found_by_its_name() -> None:
    assert {name: topic.name for name, topic in BY_NAME.items()} == {topic.name: topic.name for topic in TOPICS}


@pytest.mark.parametrize(
    ("name", "days"), [("readings", 7), ("analysis-requests", 7), ("insights", 30), ("dead-letters", 30)]
)
def test_records_are_kept_for_days(name: str, days: int) -> None:
    configuration = BY_NAME[name].configuration()

    assert configuration["retention.ms"] == str(days * DAY_MS)
    assert configuration["cleanup.policy"] == "delete"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_retention_counts_from_acceptance_never_from_the_time_of_the_reading(topic: Topic) -> None:
    assert topic.configuration()["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_same_device_has_the_same_partition_in_every_topic(topic: Topic) -> None:
    assert topic.partitions == READINGS.partitions == 8


def test_dead_letters_is_a_topic_of_the_list() -> None:
    assert {topic.dead_letters for topic in TOPICS if topic.dead_letters is not None} == {DEAD_LETTERS.name}


def test_a_dead_letter_holds_the_largest_record_that_any_topic_takes() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    for topic in TOPICS:
        if topic.dead_letters is None:
            continue
        largest = bytes(int(topic.configuration()["max.message.bytes"]))
        letter = DeadLetter(
            id="0" * 36,
            region="r" * 32,
            stage="ingest",
            reason="avro",
            detail="d" * 4096,
            topic=topic.name,
            partition=0,
            offset=2**62,
            accepted=now + timedelta(microseconds=1),
            key=bytes(512),
            value=largest,
            created=now,
        )
        assert len(encode(letter)) + 1024 < int(BY_NAME[topic.dead_letters].configuration()["max.message.bytes"])


def test_other_regions_records_arrive_in_topics_of_their_names_and_keep_their_time_of_acceptance() -> None:
    made = mirrors(["us", "ap-1"])
    assert [topic.name for topic in made] == ["us.readings", "us.insights", "ap-1.readings", "ap-1.insights"]
    assert {topic.configuration()["message.timestamp.type"] for topic in made} == {"CreateTime"}
    assert {topic.mirrored for topic in made} == {False}  # or they would go in circles
    assert {topic.partitions for topic in made} == {READINGS.partitions}
    assert [home_of(topic.name) for topic in made] == ["us", "us", "ap-1", "ap-1"]
    assert {home_of(topic.name) for topic in TOPICS} == {""}
