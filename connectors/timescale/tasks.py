"""The table `tasks`: what people asked, and what waits for a model to have time; as the agents write it.

An open task is `queued` while its request stands in the topic, `running` while it is answered, and `retrying` while it
waits for `due_at`: to be tried again, or, if it was never tried, for the time from which on it may be. What has ended
stays as it ended.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from connectors.timescale.ledger import Row
from connectors.timescale.queries import query
from schemas.codec import encode
from schemas.models import AnalysisRequest

OPEN: Final = frozenset({"queued", "running", "retrying"})
# How many are handed over in a transaction.
PAGE = 200
# Longer than any delay between attempts, and much shorter than what waits for a batch.
SOON: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Tried:
    """How far a request has come before. `since` is when the attempt began after which it was postponed first.

    `due` is when it was to come, or is to come again.
    """

    state: str
    attempts: int
    since: datetime | None
    due: datetime

    @property
    def ended(self) -> bool:
        """Whether nobody is to work on it any more."""
        return self.state not in OPEN


@dataclass(frozen=True, slots=True)
class Postponed:
    """A request that is to be tried again, when it is `due`; `since` is when the attempt began that has failed."""

    request: AnalysisRequest
    since: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A request whose time has come, as it was encoded."""

    id: str
    device_id: str
    request: bytes


def begin(connection: "Connection[Row]", requests: Iterable[AnalysisRequest], at: datetime) -> None:
    """Say that somebody works on them. A task that nobody handed in (the gateway died, say) is made."""
    _write(connection, "begin_task", [row(request, at) for request in requests])


def postpone(connection: "Connection[Row]", postponed: Iterable[Postponed], at: datetime) -> None:
    """Say when they are to be tried again. A request that was no task becomes one, tried once."""
    _write(
        connection,
        "postpone_task",
        [row(one.request, at) | {"since": one.since, "due": one.due} for one in postponed],
    )


def defer(connection: "Connection[Row]", deferred: Iterable[tuple[AnalysisRequest, datetime]], at: datetime) -> None:
    """Say from when on they may be answered. A task that nobody handed in is made."""
    _write(connection, "defer_task", [row(request, at) | {"due": due} for request, due in deferred])


def fail(connection: "Connection[Row]", failed: Iterable[tuple[AnalysisRequest, str]], at: datetime) -> None:
    """Say that they have no answer, and why. A task that nobody handed in is made."""
    _write(connection, "fail_task", [row(request, at) | {"error": error} for request, error in failed])


def finish(connection: "Connection[Row]", ends: Iterable[tuple[str, str]], at: datetime) -> None:
    """Say which requests have been answered, by which insights; those that are no tasks are left out."""
    _write(connection, "finish_task", [{"id": task, "insight": insight, "at": at} for task, insight in ends])


def tried(connection: "Connection[Row]", ids: Sequence[str]) -> dict[str, Tried]:
    """Give how far these requests have come, those that are tasks."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("tried_tasks"), {"ids": list(ids)}).fetchall()
    return {row.pop("id"): Tried(**row) for row in rows}


def crowded(connection: "Connection[Row]", most: int, now: datetime) -> bool:
    """Say whether as many tasks as that wait for a model's time, now or soon.

    What waits for a batch, or has the answer of one, takes none of it.
    """
    values = {"before": most - 1, "until": now + SOON}
    return connection.execute(query("crowded"), values).fetchone() is not None


def queue_due(connection: "Connection[Row]", now: datetime, hand_over: Callable[[Sequence[Due]], None]) -> int:
    """Hand over a page of the tasks that are due and mark them as queued; give how many there were.

    Nobody else hands them over meanwhile. If `hand_over` raises, or the mark is lost, they stay due: they may be handed
    over twice, never not at all. Whoever writes one of them meanwhile waits, so that the mark comes first.
    """
    with connection.transaction(), connection.cursor(row_factory=class_row(Due)) as cursor:
        page = cursor.execute(query("due_tasks"), {"now": now, "limit": PAGE}).fetchall()
        if page:
            hand_over(page)
            cursor.execute(query("queue_tasks"), {"ids": [due.id for due in page], "now": now})
    return len(page)


def row(request: AnalysisRequest, at: datetime) -> dict[str, object]:
    """Give what stands in the table of a request."""
    return {
        "id": request.id,
        "tenant": request.tenant,
        "device_id": request.device_id,
        "request": encode(request),
        "at": at,
    }


def _write(connection: "Connection[Row]", name: str, rows: Sequence[dict[str, object]]) -> None:
    # In the order of their ids, or two workers that write the same ones could wait for each other.
    ordered = sorted(rows, key=lambda one: str(one["id"]))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(query(name), ordered)
