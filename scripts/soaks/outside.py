"""Reads what there is in the end: rows, counts, the log, and the dead letters."""

import time
from dataclasses import dataclass, field
from typing import Final

import psycopg
from confluent_kafka import Consumer, TopicPartition

from connectors.errors import ConnectorError
from connectors.kafka.settings import KafkaSettings
from schemas.codec import decode
from schemas.models import DeadLetter, Reading
from schemas.topics import DEAD_LETTERS
from scripts.soaks.log import Log

COUNTS: Final = (
    "select coalesce(sum(stored), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,"
    " coalesce(sum(conflicts), 0)::bigint, coalesce(sum(poison), 0)::bigint from sink_offsets"
)
READ_WITHIN_S: Final = 120.0
FETCH: Final = 5000


@dataclass(frozen=True, slots=True)
class Counts:
    """What the marks say became of the log's records."""

    stored: int
    duplicates: int
    conflicts: int
    poison: int

    @property
    def all(self) -> int:
        """How many records were counted."""
        return self.stored + self.duplicates + self.conflicts + self.poison


@dataclass
class Letters:
    """What is in `dead-letters`."""

    poison: dict[tuple[int, int], int] = field(default_factory=dict)  # partition and offset: how many letters
    conflicts: dict[str, set[float]] = field(default_factory=dict)  # device: the values that lost
    others: int = 0


def counts(url: str) -> Counts:
    """Read what the marks counted."""
    with psycopg.connect(url) as connection:
        row = connection.execute(COUNTS.encode()).fetchone() or (0, 0, 0, 0)
    return Counts(*(int(value) for value in row))


def rows_of(url: str, stream: str) -> int:
    """Count the rows of a stream."""
    statement = "select count(*) from readings where device_id like %s"
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(statement, [f"{stream}-%"]).fetchone()
    return int(row[0]) if row else 0


def letters(kafka: KafkaSettings) -> Letters:
    """Read all of `dead-letters`.

    Raises:
        ConnectorError: it could not be read to its end.

    """
    log = Log(kafka.bootstrap_servers, "soak")
    left = {number: end for number, end in log.ends(DEAD_LETTERS).items() if end}
    log.close()
    found = Letters()
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "soak", "log_level": 0})
    try:
        consumer.assign([TopicPartition(DEAD_LETTERS.name, number, 0) for number in left])
        deadline = time.monotonic() + READ_WITHIN_S
        while left:
            if time.monotonic() > deadline:
                raise ConnectorError(f"dead-letters could not be read to the end: {left}")
            for message in consumer.consume(FETCH, timeout=1.0):
                if message.error() is None:
                    _take(found, decode(message.value() or b"", DeadLetter))
            positions = consumer.position([TopicPartition(DEAD_LETTERS.name, number) for number in left])
            for position in positions:
                if position.offset >= left[position.partition]:
                    del left[position.partition]
    finally:
        consumer.close()
    return found


def _take(found: Letters, letter: DeadLetter) -> None:
    if letter.reason == "conflict" and letter.value is not None:
        lost = decode(letter.value, Reading)
        found.conflicts.setdefault(lost.device_id, set()).update(lost.metrics.values())
    elif letter.partition is not None and letter.offset is not None:
        place = letter.partition, letter.offset
        found.poison[place] = found.poison.get(place, 0) + 1
    else:
        found.others += 1
