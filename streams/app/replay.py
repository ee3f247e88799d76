"""Replays, put together: what is planned, counted and copied."""

import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from confluent_kafka import Message

from connectors.clock import Clock, SystemClock
from connectors.kafka import consumer
from connectors.kafka.admin import Admin, Bounds, TopicState
from connectors.kafka.bulk import BulkProducer
from connectors.timescale.connection import connect
from connectors.timescale.replays import Begun
from connectors.timescale.store import Store
from schemas.errors import TidegateError
from schemas.origin import SECRET_BYTES
from schemas.registry import SchemaVersion
from schemas.topics import ANALYSIS_REQUESTS, BY_NAME, READINGS
from streams.agents.copies import Remembered
from streams.replay.checkpoint import Checkpoint, CheckpointError
from streams.replay.copying import Copying
from streams.replay.expression import Expression
from streams.replay.pace import Pace
from streams.replay.selection import Chooser, Selection
from streams.replay.tally import Tally
from streams.settings import Settings

# How many records are read, written and confirmed at once.
CHUNK: Final = 20_000
# How often a checkpoint is written, and the table told.
CHECKPOINT_EVERY_S: Final = 1.0
TELL_EVERY_S: Final = 10.0
# How long a database that is away is waited for.
PATIENCE_S: Final = 30.0
# Who works on what is written to these.
WITH_AGENTS: Final = frozenset({READINGS.name, ANALYSIS_REQUESTS.name})


class ReplayError(TidegateError):
    """What was asked for is not there, or makes no sense."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asked for. `offsets` are those of single partitions, the second not included; None is an end."""

    topic: str
    target: str | None = None
    selection: Selection = field(default_factory=Selection)
    since: datetime | None = None
    until: datetime | None = None
    offsets: Mapping[int, tuple[int | None, int | None]] = field(default_factory=dict)
    rate: float | None = None


def plan(settings: Settings, wanted: Wanted) -> Checkpoint:
    """Find out what there is of what is wanted; what comes later is not part of it.

    Raises:
        ReplayError: there is no such topic or partition, nobody works on it, or the target is for other records.
        ExpressionError: what is to hold of the records is no expression.
        UnreachableError: Kafka does not answer.

    """
    admin = Admin(settings.kafka)
    cluster = admin.cluster_id()
    state = _topic(admin, wanted.topic)
    if wanted.selection.where is not None:
        Expression(wanted.selection.where, _schema(wanted.topic))
    target = wanted.target or wanted.topic
    if wanted.target is None and target not in WITH_AGENTS:
        agents = " and ".join(sorted(WITH_AGENTS))
        raise ReplayError(f"Nobody here works on {target}, only on {agents}. Say --into TOPIC to copy it elsewhere.")
    kind, fits = _schema(wanted.topic), BY_NAME.get(target)
    if kind is not None and fits is not None and kind != fits.schema:
        # A worker would take all of them for rubbish, and stop.
        raise ReplayError(f"What is in {wanted.topic} does not belong into {target}: the records are of another kind.")
    return Checkpoint(
        id=str(uuid.uuid4()),
        cluster=cluster,
        topic=wanted.topic,
        topic_id=state.id,
        target=target,
        selection=wanted.selection,
        rate=wanted.rate,
        left={number: (span.start, span.end) for number, span in _spans(admin, state, wanted).items()},
    )


def _topic(admin: Admin, name: str) -> TopicState:
    state = admin.topics([name]).get(name)
    if state is None:
        raise ReplayError(f"There is no topic {name}. `tidegate topics list` shows those of the contract.")
    return state


def _spans(admin: Admin, state: TopicState, wanted: Wanted) -> dict[int, Bounds]:
    strangers = sorted(set(wanted.offsets) - set(range(state.partitions)))
    if strangers:
        raise ReplayError(f"{state.name} has the partitions 0 to {state.partitions - 1}, and no {strangers[0]}.")
    numbers = sorted(wanted.offsets) or range(state.partitions)
    names = [(state.name, number) for number in numbers]
    log = admin.bounds(names)
    starts = admin.offsets_at(names, wanted.since) if wanted.since else {}
    ends = admin.offsets_at(names, wanted.until) if wanted.until else {}
    spans = {}
    for name in names:
        first, last = wanted.offsets.get(name[1], (None, None))
        start = max(log[name].start, starts.get(name, 0), first or 0)
        end = min(log[name].end, ends.get(name, log[name].end), log[name].end if last is None else last)
        spans[name[1]] = Bounds(start, max(start, end))
    return spans


def check(settings: Settings, checkpoint: Checkpoint) -> None:
    """See that a checkpoint is of this log.

    Raises:
        CheckpointError: it is of another one.

    """
    admin = Admin(settings.kafka)
    state = admin.topics([checkpoint.topic]).get(checkpoint.topic)
    if admin.cluster_id() != checkpoint.cluster or state is None or state.id != checkpoint.topic_id:
        raise CheckpointError(
            f"The checkpoint is of another log: {checkpoint.topic} of this cluster is not the one that was replayed."
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """What a replay would copy, and what it would leave out and why."""

    tally: Tally
    left_out: Mapping[str, int]


def count(settings: Settings, checkpoint: Checkpoint, on_read: Callable[[int], None]) -> Counted:
    """Read all that a replay would read, and count; `on_read` hears how many more were read.

    Raises: what reading, choosing and the database raise.

    """
    tally = Tally()
    with _opened(settings) as store:
        chooser = _chooser(store, checkpoint)
        for messages in _read(settings, checkpoint, on_read):
            tally.add(chooser.chosen(messages))
    return Counted(tally, dict(chooser.left_out))


def _read(settings: Settings, checkpoint: Checkpoint, on_read: Callable[[int], None]) -> Iterator[list[Message]]:
    for chunk in consumer.read(settings.kafka, checkpoint.spans, most=CHUNK):
        on_read(len(chunk.records))
        yield list(chunk.records)


@contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    # Who is not there at the start is not waited for.
    connect(settings.database).close()
    store = Store(settings.database, patience_s=PATIENCE_S)
    try:
        yield store
    finally:
        store.close()


def _chooser(store: Store, checkpoint: Checkpoint) -> Chooser:
    known, erased = Remembered(store.known_replays), store.erased_devices()
    return Chooser(checkpoint.selection, _schema(checkpoint.topic), erased=erased, known=known)


def _schema(topic: str) -> SchemaVersion | None:
    """Give the schema of a topic of ours, also where it is mirrored from a region."""
    found = BY_NAME.get(topic) or BY_NAME.get(topic.rpartition(".")[2])
    return None if found is None else found.schema


@dataclass(frozen=True, slots=True)
class Course:
    """How a replay goes: who runs it, where its checkpoint is, and who hears how many more records were read."""

    who: str
    file: Path
    on_read: Callable[[int], None]


class Replay:
    """Copies records; what it has come to is known at any moment, whatever ends it."""

    def __init__(self, settings: Settings, checkpoint: Checkpoint, course: Course, clock: Clock | None = None) -> None:
        """Nothing is read or written yet."""
        self._settings = settings
        self._course = course
        self._clock = clock or SystemClock()
        self._written = self._told = self._clock.monotonic()
        self.checkpoint = checkpoint
        self.left_out: Mapping[str, int] = {}

    def run(self) -> None:
        """Copy all that is left, and write down who has it done. The checkpoint stays unless all is done.

        Raises: what reading, choosing, writing and the database raise.

        """
        self._make_target()
        with _opened(self._settings) as store:
            chooser = _chooser(store, self.checkpoint)
            secret = store.begin_replay(self._begun(), secrets.token_bytes(SECRET_BYTES))
            self.checkpoint.write(self._course.file)
            producer, done = BulkProducer(self._settings.kafka), False
            pace = Pace(self.checkpoint.rate, self._clock)
            copying = Copying(chooser, producer, secret, pace, partial(self._step, store))
            try:
                chunks = consumer.read(self._settings.kafka, self.checkpoint.spans, most=pace.most(CHUNK))
                copying.run(chunks, self.checkpoint)
                done = True
            finally:
                producer.close()
                self.left_out = dict(chooser.left_out)
                self.checkpoint.write(self._course.file)
                store.end_replay(self.checkpoint.id, self.checkpoint.copied, done=done, who=self._course.who)
        self._course.file.unlink()

    def _begun(self) -> Begun:
        plan = self.checkpoint.model_dump(mode="json", include={"selection", "left", "rate", "copied"})
        return Begun(self.checkpoint.id, self._course.who, self.checkpoint.topic, self.checkpoint.target, plan)

    def _step(self, store: Store, checkpoint: Checkpoint, read: int) -> None:
        self.checkpoint = checkpoint
        self._course.on_read(read)
        now = self._clock.monotonic()
        if now - self._written >= CHECKPOINT_EVERY_S:
            checkpoint.write(self._course.file)
            self._written = now
        if now - self._told >= TELL_EVERY_S:
            store.progress_replay(checkpoint.id, checkpoint.copied)
            self._told = now

    def _make_target(self) -> None:
        """Make the topic that is copied to, as its source is made, where there is none."""
        source, target = self.checkpoint.topic, self.checkpoint.target
        admin = Admin(self._settings.kafka)
        if admin.topics([target]):
            return
        like = BY_NAME.get(source) or BY_NAME.get(source.rpartition(".")[2])
        if like is None:
            raise ReplayError(f"There is no topic {target}, and {source} is none of ours: make {target} first.")
        admin.apply([replace(like, name=target, partitions=_topic(admin, source).partitions)])
