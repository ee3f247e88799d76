"""The flow seen from outside: how much came in, how far the groups are behind, what became of it."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from psycopg import Connection
from psycopg.rows import class_row

from connectors.kafka.admin import Admin
from connectors.llm import report
from connectors.llm.report import EndpointReport, UnreadableReportError
from connectors.money import Spent
from connectors.redis import board
from connectors.timescale import ledger
from connectors.timescale.connection import connect
from connectors.timescale.ledger import Counts, Row
from connectors.timescale.queries import query
from schemas.topics import ANALYSIS_REQUESTS, DEAD_LETTERS, READINGS, SEPARATOR, TOPICS, Topic, mirrors
from streams.settings import LaneName, Settings

READERS = {LaneName.INGEST: READINGS, LaneName.ANALYZE: ANALYSIS_REQUESTS}
# MirrorMaker writes one a second into its own region, and fetches those of the others like their records.
HEARTBEATS = "heartbeats"


def readers(settings: Settings) -> list[tuple[LaneName, Topic]]:
    """Give who reads what: a lane, and a topic of it."""
    return [*READERS.items(), *((LaneName.MIRROR, topic) for topic in mirrors(settings.peers))]


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """Another region, as it is seen from here: seconds since its last heartbeat and its newest reading came to be.

    None: there was never any. `behind`: records that are here and not stored yet, by topic.
    """

    heartbeat_s: float | None
    newest_s: float | None
    behind: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """An insight, as a line about it needs it."""

    device_id: str
    metric: str
    window_start: datetime
    window_end: datetime
    severity: str
    source: str
    summary: str


@dataclass(frozen=True, slots=True)
class PoisonAlarm:
    """A worker has stopped, before this record: too many of the recent ones could not be used."""

    at: datetime
    who: str
    topic: str
    partition: int
    offset: int
    refused: int
    records: int
    reasons: Sequence[str]


class Observer:
    """Asks Kafka, the database and Redis; changes nothing. A context manager."""

    def __init__(self, settings: Settings) -> None:
        """Connect.

        Raises:
            UnreachableError: Kafka or the database does not answer.

        """
        self._settings = settings
        self._admin = Admin(settings.kafka)
        self._admin.cluster_id()
        self._connection: Connection[Row] = connect(settings.database, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def written(self, topic: Topic) -> int:
        """Count the records ever written to a topic."""
        state = self._admin.topics([topic.name]).get(topic.name)
        if state is None:
            return 0
        return sum(
            bound.end
            for bound in self._admin.bounds((topic.name, number) for number in range(state.partitions)).values()
        )

    def received(self) -> int:
        """Count what ever came in: as readings, or refused at the door."""
        return self.written(READINGS) + self.written(DEAD_LETTERS)

    def lag(self) -> dict[str, int]:
        """Say how many records each group has not finished with."""
        found: Counter[str] = Counter()
        for lane, topic in readers(self._settings):
            group = self._settings.kafka.group(lane)
            found[group] += sum(self._admin.lag(group, topic).values())
        return dict(found)

    def lags(self) -> dict[tuple[str, str, int], int]:
        """Say how many records of each partition a group has not finished with, by group, topic and partition."""
        found: dict[tuple[str, str, int], int] = {}
        for lane, topic in readers(self._settings):
            group = self._settings.kafka.group(lane)
            found |= {(group, *name): behind for name, behind in self._admin.lag(group, topic).items()}
        return found

    def peers(self, now: datetime) -> dict[str, PeerSeen]:
        """Look at the other regions, as far as their records have come."""
        return {name: self._peer(name, now) for name in self._settings.peers}

    def heartbeats(self) -> dict[str, datetime | None]:
        """Give when the last heartbeat of each other region was made that has come here."""
        return {name: self._admin.newest(f"{name}{SEPARATOR}{HEARTBEATS}") for name in self._settings.peers}

    def _peer(self, name: str, now: datetime) -> PeerSeen:
        beat, newest = (self._admin.newest(f"{name}{SEPARATOR}{topic}") for topic in (HEARTBEATS, READINGS.name))
        group = self._settings.kafka.group(LaneName.MIRROR)
        behind = {topic.name: sum(self._admin.lag(group, topic).values()) for topic in mirrors([name])}
        beat_s, newest_s = (None if at is None else (now - at).total_seconds() for at in (beat, newest))
        return PeerSeen(beat_s, newest_s, behind)

    def deliveries(self) -> dict[tuple[str, str], int]:
        """Count the messages for webhooks, by webhook and state."""
        rows = self._connection.execute(query("count_deliveries")).fetchall()
        return {(str(hook), str(state)): int(str(many)) for hook, state, many, *_ in rows}

    def topics(self) -> dict[str, int]:
        """Count the records ever written, topic by topic."""
        return {topic.name: self.written(topic) for topic in TOPICS}

    def totals(self) -> Counts:
        """Count what became of all records that were ever read."""
        return ledger.totals(self._connection)

    def poison_alarms(self) -> list[PoisonAlarm]:
        """Give where workers have stopped within a week because of poison, and nobody has gone on since."""
        rows = self._connection.execute(query("poison_alarms")).fetchall()
        return [PoisonAlarm(*row) for row in rows]  # type: ignore[arg-type]  # the columns of that statement

    def endpoints(self) -> list[tuple[str, EndpointReport]]:
        """Say how each model endpoint does, as each worker has told within the last seconds."""
        if not self._settings.redis.url.get_secret_value():
            return []
        found = []
        for worker, note in board.notes(self._settings.redis).items():
            with contextlib.suppress(UnreadableReportError):
                found += [(worker, one) for one in report.read(note)]
        return found

    def spent(self) -> list[Spent]:
        """Say what calls to models have cost today (in UTC), the dearest first."""
        cursor = self._connection.cursor(row_factory=class_row(Spent))
        return cursor.execute(query("spent_today")).fetchall()

    def granted(self) -> dict[str, Decimal]:
        """Say how much of today's budgets was granted to workers: `total`, and `tenant/` with its name."""
        return {str(scope): Decimal(str(usd)) for scope, usd in self._connection.execute(query("granted_today"))}

    def by_source(self) -> list[tuple[str, int, float]]:
        """Count the insights of the last day by who answered, and give the dollars they cost."""
        rows = self._connection.execute(query("insights_by_source")).fetchall()
        return [(str(source), int(str(count)), float(str(usd))) for source, count, usd in rows]

    def postponed(self) -> int:
        """Count the requests that wait for a model to have time, but for what waits for a batch: that takes a day."""
        return sum(int(str(count)) for (count,) in self._connection.execute(query("postponed_tasks")))

    def devices(self) -> int:
        """Count the devices."""
        return self._count("select count(*) from devices", ())

    def rows(self, devices: Sequence[str]) -> int:
        """Count the rows stored for these devices."""
        return self._count("select count(*) from readings where device_id = any(%s)", (list(devices),))

    def insights(self, devices: Sequence[str] | None = None, *, latest: int | None = None) -> list[Told]:
        """Give insights, of some devices or of all, the latest window first."""
        cursor = self._connection.cursor(row_factory=class_row(Told))
        return cursor.execute(
            "select device_id, metric, window_start, window_end, severity, source, summary from insights"
            " where %(devices)s::text[] is null or device_id = any(%(devices)s)"
            " order by window_start desc limit %(latest)s",
            {"devices": None if devices is None else list(devices), "latest": latest},
        ).fetchall()

    def _count(self, statement: str, parameters: tuple[object, ...]) -> int:
        row = self._connection.execute(statement.encode(), parameters).fetchone()
        return int(str(row[0])) if row is not None else 0
