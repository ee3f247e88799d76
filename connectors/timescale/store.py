"""The database as the agents use it: one connection that is made anew when it breaks, and every step tried again.

Each step is one transaction that may be repeated: its marks and keys see to it that a repetition changes nothing, even
when the answer to a COMMIT was lost. What passes by itself (a restart, a lock, a full disk that someone empties) is
waited for; while it lasts, nothing more is read from Kafka.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
import pyarrow as pa
import stamina
from psycopg import Connection

from connectors import metrics
from connectors.errors import ConnectorError, UnreachableError
from connectors.timescale import (
    audit,
    batches,
    comparing,
    devices,
    earlier,
    handled,
    insights,
    ledger,
    policies,
    replays,
    schedules,
    snapshots,
    tasks,
    windows,
)
from connectors.timescale.batches import Ended, Item, Open, Placed, Planned, Waiting
from connectors.timescale.comparing import ExplainedAlarm, Standing
from connectors.timescale.connection import OUTDATED, connect, kind_of
from connectors.timescale.devices import DeviceKnown, DeviceSeen, Limits
from connectors.timescale.earlier import Read, Since
from connectors.timescale.handled import Action, Doing, Handled
from connectors.timescale.insights import Announce, nobody
from connectors.timescale.ledger import Counts, Marks, PartitionKey, Row
from connectors.timescale.replays import Begun
from connectors.timescale.schedules import Schedule, Work
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.tasks import Due, Postponed, Tried
from connectors.timescale.windows import Bucket, Window
from connectors.timescale.writer import OnConflicts, PartitionRows, Writer
from schemas.models import AnalysisRequest, Insight

log = logging.getLogger(__name__)

T = TypeVar("T")

# What may pass by itself. (Deadlocks, lock time-outs and a full disk are OperationalErrors too; a server that became a
# standby, and a transaction that waited for Kafka longer than the server allows, are not.)
TRANSIENT = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
    UnreachableError,
)
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


class Store:
    """One database; not for several threads at once."""

    def __init__(self, settings: DatabaseSettings, *, patience_s: float = 300.0) -> None:
        """Nothing is connected yet. Errors that may pass are waited for up to `patience_s`, then raised."""
        self._settings = settings
        self._patience_s = patience_s
        self._connection: Connection[Row] | None = None

    def open(self) -> None:
        """Connect now: a database that is away shows at the start, not with the first step."""
        self._do(lambda c: c.execute("select 1"))

    def claim(self, key: PartitionKey, *, owner: str, log_start: int, log_end: int) -> Marks:
        """Take a partition over (`ledger.claim`)."""
        return self._do(lambda c: ledger.claim(c, key, owner=owner, log_start=log_start, log_end=log_end))

    def write(self, parts: Sequence[PartitionRows], on_conflicts: OnConflicts) -> Counts:
        """Store rows exactly once (`writer.Writer`)."""
        return self._do(lambda c: Writer(c, self._settings.conflict_policy, on_conflicts).write(parts))

    def load_snapshot(self, key: PartitionKey, detector: str) -> dict[int, bytes]:
        """Read detector state (`snapshots.load`)."""
        return self._do(lambda c: snapshots.load(c, key, detector))

    def save_snapshot(
        self, key: PartitionKey, epoch: int, *, offset: int, detector: str, blocks: Mapping[int, bytes]
    ) -> None:
        """Write detector state and move its mark (`snapshots.save`)."""
        self._do(lambda c: snapshots.save(c, key, epoch, offset=offset, detector=detector, blocks=blocks))

    def keep_up(self, now: datetime) -> None:
        """Make partitions ahead and drop what is older than the retention, as the settings say (`policies.apply`)."""
        self._do(lambda c: policies.apply(c, kind_of(c), self._settings, now))

    def known_replays(self, replay_ids: Sequence[str]) -> dict[str, bytes]:
        """Give the secrets of those of these replays that there were (`replays.known`)."""
        return self._do(lambda c: replays.known(c, replay_ids))

    def begin_replay(self, replay: Begun, secret: bytes) -> bytes:
        """Write down that a replay begins or goes on (`replays.begin`)."""
        return self._do(lambda c: replays.begin(c, replay, secret))

    def progress_replay(self, replay_id: str, copied: int) -> None:
        """Write down how far a replay has come (`replays.progress`)."""
        self._do(lambda c: replays.progress(c, replay_id, copied))

    def end_replay(self, replay_id: str, copied: int, *, done: bool, who: str) -> None:
        """Write down that a replay is done, or was stopped (`replays.end`)."""
        self._do(lambda c: replays.end(c, replay_id, copied, done=done, who=who))

    def erased_devices(self) -> dict[str, datetime]:
        """Give the devices whose data were erased, and when (`replays.erased`)."""
        return self._do(replays.erased)

    def standing_rows(self, columns: pa.RecordBatch) -> Standing:
        """Give what is stored under the keys of rows (`comparing.rows`)."""
        return self._do(lambda c: comparing.rows(c, columns))

    def stored_until(self, topic: PartitionKey) -> dict[int, int]:
        """Give up to where a topic's partitions are stored (`comparing.stored_until`)."""
        return self._do(lambda c: comparing.stored_until(c, topic))

    def explained_alarms(
        self, topic: str, offsets: Mapping[int, tuple[int, int]], since: datetime
    ) -> list[ExplainedAlarm]:
        """Give the insights about alarms of a part of the log (`comparing.alarms`)."""
        return self._do(lambda c: comparing.alarms(c, topic, offsets, since))

    def waiting_requests(self, request_ids: Sequence[str]) -> set[str]:
        """Give those requests that wait for an answer (`comparing.waiting`)."""
        return self._do(lambda c: comparing.waiting(c, request_ids))

    def mark_letters(self, letters: Sequence[Doing], action: Action, kept: timedelta) -> None:
        """Write down what is done with dead letters (`handled.mark`)."""
        self._do(lambda c: handled.mark(c, letters, action, kept))

    def handled_letters(self, letter_ids: Sequence[str]) -> dict[str, Handled]:
        """Give what was done with dead letters (`handled.handled`)."""
        return self._do(lambda c: handled.handled(c, letter_ids))

    def revive_delivery(self, hook: str, message_id: str) -> bool:
        """Have a webhook told after all (`handled.revive`)."""
        return self._do(lambda c: handled.revive(c, hook, message_id))

    def audit(self, who: str, action: str, detail: Mapping[str, object]) -> None:
        """Write down that somebody does something (`audit.add`)."""
        self._do(lambda c: audit.add(c, who, action, detail))

    def see_devices(self, seen: Sequence[DeviceSeen]) -> None:
        """Add and update devices (`devices.see`)."""
        if seen:
            self._do(lambda c: devices.see(c, seen))

    def devices(self, device_ids: Sequence[str]) -> dict[str, DeviceKnown]:
        """Look devices up (`devices.known`)."""
        return self._do(lambda c: devices.known(c, device_ids))

    def earlier_readings(self, asked: Sequence[Since]) -> list[Read]:
        """Give what series have said before (`earlier.read`)."""
        return self._do(lambda c: earlier.read(c, asked))

    def spoke_since(self, asked: Sequence[Since]) -> list[bool]:
        """Say which series have said something since (`earlier.spoke_since`)."""
        return self._do(lambda c: earlier.spoke_since(c, asked))

    def limits(self, device_ids: Sequence[str]) -> dict[str, dict[str, Limits]]:
        """Give what the classes of devices allow, by device and metric (`devices.limits`)."""
        return self._do(lambda c: devices.limits(c, device_ids))

    def insights(self, insight_ids: Sequence[str]) -> dict[str, Insight]:
        """Give the insights that stand under these ids (`insights.standing`)."""
        return self._do(lambda c: insights.standing(c, insight_ids))

    def store_insights(self, new: Sequence[Insight], announce: Announce = nobody) -> dict[str, Insight]:
        """Store insights and give those that stand, by id (`insights.store`)."""
        return self._do(lambda c: insights.store(c, new, announce))

    def windows(self, wanted: Sequence[Window]) -> list[list[Bucket]]:
        """Read windows of the readings (`windows.read`)."""
        return self._do(lambda c: windows.read(c, wanted))

    def begin_tasks(self, requests: Sequence[AnalysisRequest], at: datetime) -> None:
        """Say that somebody works on tasks (`tasks.begin`)."""
        self._do(lambda c: tasks.begin(c, requests, at))

    def postpone_tasks(self, postponed: Sequence[Postponed], at: datetime) -> None:
        """Say when requests are to be tried again (`tasks.postpone`)."""
        self._do(lambda c: tasks.postpone(c, postponed, at))

    def defer_tasks(self, deferred: Sequence[tuple[AnalysisRequest, datetime]], at: datetime) -> None:
        """Say from when on tasks may be answered (`tasks.defer`)."""
        self._do(lambda c: tasks.defer(c, deferred, at))

    def fail_tasks(self, failed: Sequence[tuple[AnalysisRequest, str]], at: datetime) -> None:
        """Say that tasks have no answer, and why (`tasks.fail`)."""
        self._do(lambda c: tasks.fail(c, failed, at))

    def finish_tasks(self, ends: Sequence[tuple[str, str]], at: datetime) -> None:
        """Say that tasks have been answered (`tasks.finish`)."""
        self._do(lambda c: tasks.finish(c, ends, at))

    def tried_tasks(self, ids: Sequence[str]) -> dict[str, Tried]:
        """Give how far tasks have come (`tasks.tried`)."""
        return self._do(lambda c: tasks.tried(c, ids))

    def crowded(self, *, most: int, now: datetime) -> bool:
        """Say whether as many tasks as that wait for a model's time (`tasks.crowded`)."""
        return self._do(lambda c: tasks.crowded(c, most, now))

    def queue_due_tasks(self, now: datetime, hand_over: Callable[[Sequence[Due]], None]) -> int:
        """Hand tasks over that are due (`tasks.queue_due`); `hand_over` may be called again after a failure."""
        return self._do(lambda c: tasks.queue_due(c, now, hand_over))

    def run_schedule(self, schedule: Schedule, now: datetime, work: Work) -> bool:
        """Do the last period that is due (`schedules.run`); `work` may be called again after a failure."""
        return self._do(lambda c: schedules.run(c, schedule, now, work))

    def put_off(self, requests: Sequence[AnalysisRequest], due: datetime, at: datetime) -> None:
        """Have summaries wait for a batch (`batches.put_off`)."""
        self._do(lambda c: batches.put_off(c, requests, due, at))

    def batch_items(self, ids: Sequence[str]) -> dict[str, Item]:
        """Give what is known of requests that were put off for a batch (`batches.items`)."""
        return self._do(lambda c: batches.items(c, ids)) if ids else {}

    def form_batch(
        self,
        now: datetime,
        plan: Callable[[Sequence[Waiting]], Planned | None],
        *,
        waited: timedelta,
        without: Sequence[str] = (),
    ) -> bool:
        """Make a batch of what waits (`batches.form`); `plan` may be called again after a failure."""
        return self._do(lambda c: batches.form(c, now=now, waited=waited, without=without, plan=plan))

    def open_batches(self) -> list[str]:
        """Give the batches that nobody knows the end of (`batches.open_ones`)."""
        return self._do(batches.open_ones)

    def tend_batch(
        self, batch: str, now: datetime, handle: Callable[[Open], Placed | Ended | None], *, wait: bool = False
    ) -> bool:
        """Write down what is said of a batch (`batches.tend`); `handle` may be called again after a failure."""
        return self._do(lambda c: batches.tend(c, batch, now, handle, wait=wait))

    def release_batch_items(self, now: datetime) -> None:
        """Have what waits for a batch asked about in the usual way (`batches.release`)."""
        self._do(lambda c: batches.release(c, now))

    def forget_batches(self, before: datetime) -> None:
        """Delete what is older than that of batches (`batches.forget`)."""
        self._do(lambda c: batches.forget(c, before))

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _do(self, step: "Callable[[Connection[Row]], T]") -> T:
        attempts = stamina.retry_context(
            on=TRANSIENT,
            attempts=None,
            timeout=self._patience_s,
            wait_initial=FIRST_WAIT_S,
            wait_max=LONGEST_WAIT_S,
        )
        for attempt in attempts:
            with attempt:
                try:
                    return step(self._connected())
                except TRANSIENT as error:
                    metrics.DATABASE_FAILURES.inc()
                    log.warning("the database failed, trying again: %s", _first_line(error))
                    self.close()
                    raise
                except psycopg.errors.UndefinedTable as error:
                    raise ConnectorError(OUTDATED) from error
        raise AssertionError  # pragma: no cover  # stamina gives a result or raises

    def _connected(self) -> "Connection[Row]":
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings, autocommit=True)
        return self._connection


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
