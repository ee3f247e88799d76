"""The tables of batches: who holds one holds it alone, and what it has cost is counted once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.money import Held, Spent
from connectors.timescale.batches import Answered, Ended, Line, Open, Placed, Planned, Waiting
from connectors.timescale.connection import connect
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from schemas.fields import deterministic_id
from schemas.models import AnalysisRequest

pytestmark = [pytest.mark.database, pytest.mark.within_a_day]

Fetch = Callable[..., list[tuple[Any, ...]]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
BATCH = "0b3e9a52-5d0e-4a8e-9c58-0b7a8f1e2d11"


def request(device: str, tenant: str = "acme") -> AnalysisRequest:
    asked = AnalysisRequest.of_table(
        request_id=deterministic_id("summary", device),
        region="",
        device_id=device,
        metric="t",
        kind="hourly-summary",
        window=(NOON - HOUR, NOON),
    )
    return asked.model_copy(update={"tenant": tenant})


@pytest.fixture
def store(database: DatabaseSettings) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


@pytest.fixture
def other(database: DatabaseSettings) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


def put_off(store: Store, *devices: str, tenant: str = "acme", at: datetime = NOON) -> None:
    store.put_off([request(device, tenant) for device in devices], at + DAY, at)


def planned(waiting: Sequence[Waiting], *, day: date | None = None) -> Planned:
    held = Held("acme", Decimal(3), day, of_total=day is not None)
    return Planned(BATCH, "first", NOON + 2 * DAY, [Line([one.request_id for one in waiting], held)])


def form(
    store: Store, plan: Callable[[Sequence[Waiting]], Planned | None] = planned, without: Sequence[str] = ()
) -> bool:
    return store.form_batch(NOON + 60 * SECOND, plan, waited=60 * SECOND, without=without)


def handled(step: Placed | Ended | None, seen: list[Open] | None = None) -> Callable[[Open], Placed | Ended | None]:
    def handle(batch: Open) -> Placed | Ended | None:
        if seen is not None:
            seen.append(batch)
        return step

    return handle


def test_what_waits_is_taken_once_the_first_has_waited_long_enough(store: Store, fetch: Fetch) -> None:
    put_off(store, "a", "b")
    assert not store.form_batch(NOON + 59 * SECOND, planned, waited=60 * SECOND)
    put_off(store, "c", at=NOON + 59 * SECOND)
    assert form(store)
    assert fetch("select count(*) from batch_items where state = 'asked' and line = 1 and n in (1, 2, 3)") == [(3,)]
    assert fetch("select distinct due_at from tasks") == [(NOON + 2 * DAY,)]
    assert not form(store), "nothing waits any more"


def test_what_is_put_off_twice_is_due_when_it_was(store: Store, fetch: Fetch) -> None:
    put_off(store, "a", "b")
    form(store)
    store.tend_batch(BATCH, NOON + HOUR, handled(Ended("failed")))
    store.begin_tasks([request("b")], NOON + HOUR)
    put_off(store, "a", "b", at=NOON + HOUR)
    assert fetch("select state, due_at from tasks") == [("retrying", NOON + HOUR)] * 2
    assert fetch("select state from batch_items") == [("over",)] * 2


def test_what_is_asked_about_in_another_way_already_is_not_taken(store: Store, fetch: Fetch) -> None:
    put_off(store, "due", "running", "free")
    fetch("update tasks set due_at = %s where device_id = 'due' returning 1", NOON)
    store.begin_tasks([request("running")], NOON)
    taken: list[str] = []
    form(store, lambda waiting: taken.extend(one.request_id for one in waiting))
    assert taken == [request("free").id]


def test_tenants_that_are_left_out_hold_up_nobody(store: Store) -> None:
    put_off(store, "a")
    put_off(store, "b", tenant="rival")
    taken: list[str] = []
    form(store, lambda waiting: taken.extend(one.request_id for one in waiting), ["acme"])
    assert taken == [request("b").id]
    assert not form(store, without=["acme", "rival"])


def test_a_batch_is_in_one_pair_of_hands(store: Store, other: Store, fetch: Fetch) -> None:
    put_off(store, "a")
    form(store)
    assert store.open_batches() == [BATCH]

    def handle(batch: Open) -> Placed:
        assert not other.tend_batch(batch.id, NOON, handled(Placed("stolen")))
        return Placed("theirs")

    assert store.tend_batch(BATCH, NOON, handle)
    seen: list[Open] = []
    assert other.tend_batch(BATCH, NOON, handled(None, seen))
    assert [(one.remote_id, one.endpoint, one.lines[1].windows, one.lines[1].usd) for one in seen] == [
        ("theirs", "first", 1, Decimal(3))
    ]
    store.tend_batch(BATCH, NOON, handled(Ended("completed")))
    assert not other.tend_batch(BATCH, NOON, handled(Ended("lost"))), "it ends once"
    assert fetch("select state from batches") == [("completed",)]


def test_whoever_has_to_be_next_waits(store: Store, other: Store, in_thread: ThreadPoolExecutor) -> None:
    put_off(store, "a")
    form(store)
    waiting: list[Future[bool]] = []

    def handle(batch: Open) -> None:
        waiting.append(in_thread.submit(other.tend_batch, batch.id, NOON, handled(Placed("next")), wait=True))

    assert store.tend_batch(BATCH, NOON, handle)
    assert waiting[0].result(20)
    seen: list[Open] = []
    store.tend_batch(BATCH, NOON, handled(None, seen))
    assert seen[0].remote_id == "next"


def test_what_waits_for_a_batch_is_not_waited_for(store: Store, database: DatabaseSettings) -> None:
    def postponed() -> object:
        with connect(database, autocommit=True) as connection:
            return connection.execute(query("postponed_tasks")).fetchone()

    put_off(store, "a")
    assert postponed() == (0,)
    form(store)
    assert postponed() == (0,)
    store.tend_batch(BATCH, NOON, handled(Ended("failed")))
    assert postponed() == (1,)


def test_what_fails_while_a_batch_is_held_changes_nothing(store: Store, fetch: Fetch) -> None:
    put_off(store, "a")
    form(store)

    def fails(_: Open) -> Placed:
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        store.tend_batch(BATCH, NOON, fails)
    assert fetch("select state, remote_id from batches") == [("open", None)]
    assert store.tend_batch(BATCH, NOON, handled(Placed("x")))


def test_answers_money_and_books_are_written_together(store: Store, fetch: Fetch) -> None:
    today = fetch("select (now() at time zone 'utc')::date")[0][0]
    fetch("insert into budgets values (%s, 'total', 5), (%s, 'tenant/acme', 5) returning 1", today, today)
    put_off(store, "a", "b")
    form(store, lambda waiting: planned(waiting, day=today))
    ids = [id_ for (id_,) in fetch("select request_id::text from batch_items order by n")]
    answer = Answered(1, 1, '{"summary": "fine"}', "m-1", 9, 3, Decimal("0.5"))
    spent = Spent("acme", "first", "m", 1, 9, 0, 3, Decimal(1))
    store.tend_batch(BATCH, NOON + HOUR, handled(Ended("completed", [answer], {1: Decimal(1)}, [spent])))
    found = store.batch_items(ids)
    assert [(found[id_].state, found[id_].answer, found[id_].usd) for id_ in ids] == [
        ("over", '{"summary": "fine"}', Decimal("0.5")),
        ("over", None, Decimal(0)),
    ]
    assert fetch("select distinct state, due_at from tasks") == [("retrying", NOON + HOUR)]
    assert fetch("select scope, granted from budgets order by 1") == [("tenant/acme", 5), ("total", 3)]
    assert fetch("select tenant, endpoint, model, calls, usd from spend") == [("acme", "first", "m", 1, 1)]


def test_what_was_never_sent_waits_for_another_batch(store: Store, fetch: Fetch) -> None:
    put_off(store, "a")
    form(store)
    store.tend_batch(BATCH, NOON, handled(Ended("freed")))
    assert fetch("select state, batch, line, n from batch_items") == [("waiting", None, None, None)]
    assert fetch("select due_at from tasks") == [(NOON + 2 * DAY,)]


def test_a_task_that_ends_takes_its_item_along(store: Store, fetch: Fetch) -> None:
    put_off(store, "a", "b")
    insight = deterministic_id("insight", request("a").id)
    store.finish_tasks([(request("a").id, insight)], NOON)
    assert fetch("select request_id::text from batch_items") == [(request("b").id,)]
    assert fetch("select state, count(*) from tasks group by 1 order by 1") == [("retrying", 1), ("succeeded", 1)]


def test_what_is_old_is_forgotten_but_for_open_batches(store: Store, fetch: Fetch) -> None:
    put_off(store, "a")
    form(store)
    store.forget_batches(NOON - SECOND)
    assert fetch("select count(*) from batch_items") == [(1,)]
    store.forget_batches(NOON + DAY)
    assert (fetch("select count(*) from batch_items"), store.open_batches()) == ([(0,)], [BATCH])
    store.tend_batch(BATCH, NOON, handled(Ended("lost")))
    store.forget_batches(NOON + DAY)
    assert fetch("select (select count(*) from batches), (select count(*) from batch_lines)") == [(0, 0)]


def test_what_waits_for_long_is_no_crowd_but_what_is_to_be_asked_now_is(store: Store) -> None:
    put_off(store, "a")
    assert not store.crowded(most=1, now=NOON)
    assert store.crowded(most=1, now=NOON + DAY)
