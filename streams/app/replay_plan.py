"""What a replay is about: what there is of what somebody asked for, found, read and counted."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from confluent_kafka import Message

from connectors.kafka import consumer
from connectors.kafka.admin import Admin, Bounds, TopicState
from connectors.timescale.connection import connect
from connectors.timescale.store import Store
from schemas.errors import TidegateError
from schemas.registry import SchemaVersion
from schemas.topics import ANALYSIS_REQUESTS, BY_NAME, READINGS
from streams.agents.copies import Remembered
from streams.replay.checkpoint import Checkpoint, CheckpointError
from streams.replay.expression import Expression
from streams.replay.selection import Chooser, Selection
from streams.replay.tally import Tally
from streams.settings import Settings

# How many records are read, written and confirmed at once.
CHUNK: Final = 20_000
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
    state = topic_of(admin, wanted.topic)
    if wanted.selection.where is not None:
        Expression(wanted.selection.where, schema_of(wanted.topic))
    target = wanted.target or wanted.topic
    if wanted.target is None and target not in WITH_AGENTS:
        agents = " and ".join(sorted(WITH_AGENTS))
        raise ReplayError(f"Nobody here works on {target}, only on {agents}. Say --into TOPIC to copy it elsewhere.")
    kind, fits = schema_of(wanted.topic), BY_NAME.get(target)
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


def topic_of(admin: Admin, name: str) -> TopicState:
    """Look a topic up.

    Raises:
        ReplayError: there is none.

    """
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
    with opened(settings) as store:
        chooser = chooser_of(store, checkpoint)
        for messages in read(settings, checkpoint, on_read):
            tally.add(chooser.chosen(messages))
    return Counted(tally, dict(chooser.left_out))


def read(
    settings: Settings, checkpoint: Checkpoint, on_read: Callable[[int], None], *, most: int = CHUNK
) -> Iterator[list[Message]]:
    """Read what is left, in chunks; `on_read` hears how many more were read. Raises: what `consumer.read` does."""
    for chunk in consumer.read(settings.kafka, checkpoint.spans, most=most):
        on_read(len(chunk.records))
        yield list(chunk.records)


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """Open the database."""
    # Who is not there at the start is not waited for.
    connect(settings.database).close()
    store = Store(settings.database, patience_s=PATIENCE_S)
    try:
        yield store
    finally:
        store.close()


def chooser_of(store: Store, checkpoint: Checkpoint) -> Chooser:
    """Make the one who chooses for a replay. Raises: what the database does."""
    known, erased = Remembered(store.known_replays), store.erased_devices()
    return Chooser(checkpoint.selection, schema_of(checkpoint.topic), erased=erased, known=known)


def schema_of(topic: str) -> SchemaVersion | None:
    """Give the schema of a topic of ours, also where it is mirrored from a region."""
    found = BY_NAME.get(topic) or BY_NAME.get(topic.rpartition(".")[2])
    return None if found is None else found.schema
