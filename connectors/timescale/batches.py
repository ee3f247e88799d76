"""Summaries that are asked about in batches: the tables `batches`, `batch_lines` and `batch_items`.

An item is `waiting` for a batch, `asked` in one, and `over` when that one has ended, with an answer or without. All the
while its request waits in `tasks` until it is due. Whoever works on a batch holds its row; what became of it, what it
has cost and what comes back of the money that was set aside are written in one transaction, so each counts once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from connectors.money import Held, Spent
from connectors.timescale import tasks
from connectors.timescale.ledger import Row
from connectors.timescale.queries import query
from connectors.timescale.treasury import scopes
from schemas.models import AnalysisRequest

# How many windows a batch has at the most.
MOST_WINDOWS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A summary that waits for a batch, as it was encoded."""

    request_id: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One question: whose windows they are, in their order, and what is set aside for it."""

    request_ids: Sequence[str]
    held: Held


@dataclass(frozen=True, slots=True)
class Planned:
    """A batch that is to be; whoever waits for it is asked about in the usual way when it is `due`."""

    id: str
    endpoint: str
    due: datetime
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class OpenLine:
    """How many windows a line has, and what is set aside for it."""

    tenant: str
    windows: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Open:
    """A batch that nobody knows the end of. Its lines are numbered from 1."""

    id: str
    endpoint: str
    remote_id: str | None
    created: datetime
    lines: Mapping[int, OpenLine]


@dataclass(frozen=True, slots=True)
class Placed:
    """The endpoint has the batch, under this id."""

    remote_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the window of this number: an answer, in JSON, or only its share of what a line took."""

    line: int
    n: int
    answer: str | None
    model: str
    prompt_tokens: int
    completion_tokens: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Ended:
    """How a batch has ended, and what its lines took: nothing where they are not named.

    Its items are due, or, if it has been `freed`, wait for another.
    """

    outcome: str
    answers: Sequence[Answered] = ()
    took: Mapping[int, Decimal] = field(default_factory=dict)
    spent: Sequence[Spent] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A summary that was put off for a batch: what was asked, and the answer, if there is one."""

    state: str
    request: bytes
    answer: str | None
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    usd: Decimal
    created: datetime


def put_off(connection: "Connection[Row]", requests: Iterable[AnalysisRequest], due: datetime, at: datetime) -> None:
    """Have summaries wait for a batch, as tasks that are due when none has answered them. Some may wait already."""
    # In the order of their ids, or two workers that put off the same ones could wait for each other.
    rows = [tasks.row(one, at) | {"due": due} for one in sorted(requests, key=lambda one: one.id)]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(query("put_off_task"), rows)
        cursor.executemany(query("add_batch_item"), rows)


def items(connection: "Connection[Row]", ids: Sequence[str]) -> dict[str, Item]:
    """Give what is known of these requests, those that were put off for a batch."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("batch_items"), {"ids": list(ids)}).fetchall()
    return {row.pop("request_id"): Item(**row) for row in rows}


def form(
    connection: "Connection[Row]",
    *,
    now: datetime,
    waited: timedelta,
    without: Sequence[str],
    plan: Callable[[Sequence[Waiting]], Planned | None],
) -> bool:
    """Make a batch of what waits, of tenants that are not in `without`, once one of them has waited for so long.

    Nobody else takes them meanwhile. Those that `plan` leaves out go on waiting.
    """
    with connection.transaction(), connection.cursor(row_factory=class_row(Waiting)) as cursor:
        values = {"now": now, "before": now - waited, "without": list(without), "limit": MOST_WINDOWS}
        found = cursor.execute(query("waiting_batch_items"), values).fetchall()
        planned = plan(found) if found else None
        if planned is None:
            return False
        cursor.execute(
            "insert into batches (id, endpoint, created) values (%s, %s, %s)", (planned.id, planned.endpoint, now)
        )
        lines = list(enumerate(planned.lines, start=1))
        cursor.executemany(query("add_batch_line"), [_line(planned.id, number, line) for number, line in lines])
        windows = [(id_, line, n) for line, one in lines for n, id_ in enumerate(one.request_ids, start=1)]
        values = {"batch": planned.id, "due": planned.due, "now": now}
        columns = dict(zip(("ids", "lines", "numbers"), map(list, zip(*windows, strict=True)), strict=True))
        cursor.execute(query("ask_batch_items"), {**values, **columns})
    return True


def open_ones(connection: "Connection[Row]") -> list[str]:
    """Give the batches that nobody knows the end of, the oldest first."""
    rows = connection.execute("select id::text from batches where state = 'open' order by created").fetchall()
    return [str(batch) for (batch,) in rows]


def tend(
    connection: "Connection[Row]",
    batch: str,
    now: datetime,
    handle: Callable[[Open], Placed | Ended | None],
    *,
    wait: bool = False,
) -> bool:
    """Write down what `handle` says of an open batch; False if it has ended, or somebody else works on it.

    Who has to be the next to work on it can `wait`.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query("open_batch", locked="" if wait else "skip locked"), {"id": batch}).fetchone()
        if row is None:
            return False
        lines = cursor.execute(query("batch_lines"), {"id": batch}).fetchall()
        seen = {line["line"]: OpenLine(line["tenant"], line["windows"], line["held_usd"]) for line in lines}
        match handle(Open(**row, lines=seen)):
            case Placed(remote_id):
                cursor.execute("update batches set remote_id = %s where id = %s", (remote_id, batch))
            case Ended() as ended:
                _end(connection, batch, now, ended)
                _give_back(connection, lines, ended.took)
    return True


def release(connection: "Connection[Row]", now: datetime) -> None:
    """Have what waits for a batch asked about in the usual way: nobody takes any more."""
    connection.execute(query("release_batch_items"), {"now": now})


def forget(connection: "Connection[Row]", before: datetime) -> None:
    """Delete what is older than that, whatever became of it."""
    with connection.transaction():
        connection.execute("delete from batch_items where created < %s", (before,))
        connection.execute("delete from batches where state <> 'open' and ended < %s", (before,))


def _end(connection: "Connection[Row]", batch: str, now: datetime, ended: Ended) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(query("answer_batch_item"), [asdict(one) | {"batch": batch} for one in ended.answers])
        cursor.execute(
            query("free_batch_items" if ended.outcome == "freed" else "end_batch_items"), {"batch": batch, "now": now}
        )
        cursor.execute("update batches set state = %s, ended = %s where id = %s", (ended.outcome, now, batch))
        if ended.spent:
            columns = [one.name for one in fields(Spent)]
            cursor.execute(
                query("record_spend"), {name: [getattr(one, name) for one in ended.spent] for name in columns}
            )


def _give_back(connection: "Connection[Row]", lines: Sequence[dict[str, Any]], took: Mapping[int, Decimal]) -> None:
    back: dict[tuple[date, tuple[str, ...]], Decimal] = {}
    for line in lines:
        if line["held_day"] is not None:
            key = line["held_day"], tuple(line["scopes"])
            back[key] = back.get(key, Decimal(0)) + line["held_usd"] - took.get(line["line"], Decimal(0))
    for (day, of), usd in sorted(back.items()):
        connection.execute(query("give_back_budget"), {"day": day, "scopes": list(of), "usd": usd})


def _line(batch: str, number: int, line: Line) -> dict[str, object]:
    held = line.held
    return {
        "batch": batch,
        "line": number,
        "tenant": held.tenant,
        "windows": len(line.request_ids),
        "usd": held.usd,
        "day": held.day,
        "scopes": scopes(held.tenant, of_total=held.of_total, of_tenant=held.of_tenant),
    }
