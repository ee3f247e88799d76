"""Who owns a partition, and up to where its records are stored: the marks behind "exactly once stored".

Every assignment of a partition raises its epoch. Whatever writes for a partition (rows, marks, snapshots) locks the
mark first and is refused when its epoch is not the newest: a worker that was stopped and wakes up late writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import Connection, Cursor

from connectors.errors import ConnectorError
from connectors.timescale import audit
from connectors.timescale.queries import query

Row = tuple[object, ...]


class FencedError(ConnectorError):
    """Another worker owns the partition now: what this one holds of it is out of date."""


class LogChangedError(ConnectorError):
    """The log in Kafka is not the one that the marks speak of."""


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """The name of a partition's marks. `topic_id` is empty where the broker gives none."""

    cluster_id: str
    topic: str
    topic_id: str
    partition: int

    def parameters(self) -> dict[str, object]:
        """Give the values for the statements that name a partition."""
        return {
            "cluster_id": self.cluster_id,
            "topic": self.topic,
            "topic_id": self.topic_id,
            "partition": self.partition,
        }


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a partition stands: rows below `next_offset` are stored, the detectors have seen those below `snapshot`."""

    epoch: int
    next_offset: int
    snapshot_offset: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records between two marks."""

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    poison: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.stored + other.stored,
            self.duplicates + other.duplicates,
            self.conflicts + other.conflicts,
            self.poison + other.poison,
        )


def claim(connection: "Connection[Row]", key: PartitionKey, *, owner: str, log_start: int, log_end: int) -> Marks:
    """Take a partition over: raise its epoch and give its marks. One that was never read starts at the log's start.

    Whoever is in the middle of a transaction for the partition loses its session. A live owner has finished before its
    partitions go to others; one that is frozen or cut off would keep the lock until its machine is given up.

    Raises:
        LogChangedError: the topic was deleted and made anew, its log ends before what is stored, or records that were
            not read yet have expired. Nothing is changed then: skipping them in silence is not for us to decide.

    """
    values = {**key.parameters(), "owner": owner, "start": log_start}
    connection.execute(query("end_holders"), values)
    with connection.transaction():
        if connection.execute(query("other_lives"), values).fetchone() is not None:
            raise LogChangedError(
                f"The topic {key.topic} was deleted and made anew since it was last read. If that was meant, forget "
                f"its former life with: tidegate topics forget {key.topic}"
            )
        row = connection.execute(query("claim"), values).fetchone()
        if row is None:
            raise FencedError
        marks = Marks(*map(_integer, row))
        if marks.next_offset > log_end:
            raise LogChangedError(
                f"The log of {key.topic}[{key.partition}] ends at {log_end}, but records up to {marks.next_offset} are "
                f"stored: it was cut or made anew. If that was meant: tidegate topics forget {key.topic}"
            )
        first = min(marks.snapshot_offset, marks.next_offset)
        if first < log_start:
            raise LogChangedError(
                f"Records {first} to {log_start - 1} of {key.topic}[{key.partition}] expired before they were read. "
                f"To go on without them: tidegate topics forget {key.topic}"
            )
    return marks


def lock(cursor: "Cursor[Row]", key: PartitionKey, epoch: int) -> int:
    """Lock a partition's marks until the transaction ends, and give `next_offset`.

    Raises:
        FencedError: the epoch is not ours.

    """
    row = cursor.execute(query("lock"), key.parameters()).fetchone()
    if row is None or row[0] != epoch:
        raise FencedError
    return _integer(row[1])


def advance(cursor: "Cursor[Row]", key: PartitionKey, next_offset: int, counts: Counts) -> None:
    """Move the mark of what is stored; the caller holds the lock."""
    values: Mapping[str, object] = {
        **key.parameters(),
        "next_offset": next_offset,
        "stored": counts.stored,
        "duplicates": counts.duplicates,
        "conflicts": counts.conflicts,
        "poison": counts.poison,
    }
    cursor.execute(query("advance"), values)


def totals(connection: "Connection[Row]") -> Counts:
    """Count what became of all records ever stored."""
    row = connection.execute(query("totals")).fetchone()
    return Counts(*map(_integer, row)) if row is not None else Counts()


def forget(connection: "Connection[Row]", topic: str, *, who: str) -> int:
    """Drop a topic's marks and snapshots, so that its log is read from the start; give how many marks there were."""
    with connection.transaction():
        connection.execute("delete from detector_snapshots where topic = %s", (topic,))
        marks = connection.execute("delete from sink_offsets where topic = %s", (topic,)).rowcount
        audit.add(connection, who, "topics forget", {"topic": topic})
    return marks


def restart_detectors(connection: "Connection[Row]", topic: PartitionKey, *, who: str, partitions: int) -> int:
    """Have the detectors of a topic begin anew where its rows end; give of how many partitions.

    Whoever owns them now is refused from here on, and starts again with detectors that know nothing.
    """
    values = topic.parameters()
    with connection.transaction():
        restarted = connection.execute(query("restart_detectors"), values).rowcount
        connection.execute(query("forget_blocks"), values)
        audit.add(connection, who, "topics grow", {"topic": topic.topic, "partitions": partitions})
    return restarted


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"the database gave {type(value).__name__} for an integer")
    return value
