"""Replays, put together: records are copied, and who has it done is written down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from connectors.clock import Clock, SystemClock
from connectors.kafka import consumer
from connectors.kafka.admin import Admin
from connectors.kafka.bulk import BulkProducer
from connectors.timescale.replays import Begun
from connectors.timescale.store import Store
from schemas.origin import new_secret
from schemas.topics import BY_NAME
from streams.app.replay_plan import CHUNK, ReplayError, chooser_of, opened, topic_of
from streams.replay.checkpoint import Checkpoint
from streams.replay.copying import Copying
from streams.replay.pace import Pace
from streams.settings import Settings

# How often a checkpoint is written, and the table told.
CHECKPOINT_EVERY_S: Final = 1.0
TELL_EVERY_S: Final = 10.0


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
        with opened(self._settings) as store:
            chooser = chooser_of(store, self.checkpoint)
            secret = store.begin_replay(self._begun(), new_secret(self._settings.shared, self.checkpoint.id))
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
        admin.apply([replace(like, name=target, partitions=topic_of(admin, source).partitions)])
