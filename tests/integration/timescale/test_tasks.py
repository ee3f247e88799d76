"""What is postponed comes again when it is due, whoever hands it over and dies; what has ended stays as it ended."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from connectors.timescale import tasks
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.tasks import Due, Postponed, Tried
from schemas.codec import decode
from schemas.fields import deterministic_id
from schemas.models import AnalysisRequest

pytestmark = pytest.mark.database

Fetch = Callable[..., list[tuple[object, ...]]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STATES = "select device_id, state, attempts, due_at, first_tried from tasks order by device_id"


def request(device: str) -> AnalysisRequest:
    return AnalysisRequest.of_table(
        request_id=deterministic_id("task", device),
        region="",
        device_id=device,
        metric="t",
        kind="question",
        window=(NOON - timedelta(hours=1), NOON),
        question="Is it hot?",
    )


def postponed(device: str, *, due: datetime = NOON + SECOND, since: datetime = NOON) -> Postponed:
    return Postponed(request(device), since=since, due=due)


class Handed:
    """Notes what was handed over; fails as often as it is told."""

    def __init__(self, fails: int = 0) -> None:
        self.devices: list[str] = []
        self.fails = fails

    def __call__(self, page: Sequence[Due]) -> None:
        self.devices += [due.device_id for due in page]
        assert [decode(due.request, AnalysisRequest) for due in page] == [request(due.device_id) for due in page]
        if self.fails:
            self.fails -= 1
            raise LookupError


def test_what_was_no_task_becomes_one_that_waits(store: Store, fetch: Fetch) -> None:
    store.postpone_tasks([postponed("a"), postponed("b", due=NOON + 2 * SECOND)], NOON)
    assert fetch(STATES) == [
        ("a", "retrying", 1, NOON + SECOND, NOON),
        ("b", "retrying", 1, NOON + 2 * SECOND, NOON),
    ]


def test_what_is_postponed_again_knows_since_when_and_how_often_it_was_tried(store: Store, fetch: Fetch) -> None:
    for attempt in range(3):
        at = NOON + attempt * 10 * SECOND
        store.begin_tasks([request("a")], at)
        store.postpone_tasks([postponed("a", due=at + SECOND, since=at)], at)
    assert fetch(STATES) == [("a", "retrying", 3, NOON + 21 * SECOND, NOON)]
    found = store.tried_tasks([request("a").id, request("b").id])
    assert found == {request("a").id: Tried("retrying", 3, NOON, NOON + 21 * SECOND)}
    assert not found[request("a").id].ended


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_has_ended_stays_as_it_ended(store: Store, fetch: Fetch, state: str) -> None:
    store.begin_tasks([request("a")], NOON)
    fetch("update tasks set state = %s returning 1", state)
    before = fetch(STATES)
    store.begin_tasks([request("a")], NOON + SECOND)
    store.postpone_tasks([postponed("a")], NOON + SECOND)
    store.finish_tasks([(request("a").id, deterministic_id("insight", "a"))], NOON + SECOND)
    assert fetch(STATES) == before
    assert store.tried_tasks([request("a").id])[request("a").id].ended
    assert store.queue_due_tasks(NOON + 9 * SECOND, Handed()) == 0


def test_a_task_ends_with_its_insight(store: Store, fetch: Fetch) -> None:
    store.begin_tasks([request("a")], NOON)
    store.postpone_tasks([postponed("b")], NOON)
    ends = [(request(device).id, deterministic_id("insight", device)) for device in ("a", "b", "unknown")]
    store.finish_tasks(ends, NOON)
    assert fetch("select device_id, state, insight::text from tasks order by 1") == [
        ("a", "succeeded", ends[0][1]),
        ("b", "succeeded", ends[1][1]),
    ]


def test_only_what_is_due_is_handed_over_once_page_by_page(
    store: Store, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE", 2)
    store.begin_tasks([request("running")], NOON)
    store.postpone_tasks([postponed("later", due=NOON + 3 * SECOND)], NOON)
    for second, device in enumerate(("c", "a", "b")):
        store.postpone_tasks([postponed(device, due=NOON + second * SECOND)], NOON)
    handed, now = Handed(), NOON + 2 * SECOND
    assert [store.queue_due_tasks(now, handed) for _ in range(3)] == [2, 1, 0]
    assert handed.devices == ["c", "a", "b"]
    assert fetch("select device_id, state, updated from tasks where state <> 'running' order by 1") == [
        ("a", "queued", now),
        ("b", "queued", now),
        ("c", "queued", now),
        ("later", "retrying", NOON),
    ]


def test_what_could_not_be_handed_over_stays_due(store: Store) -> None:
    store.postpone_tasks([postponed("a")], NOON)
    handed = Handed(fails=1)
    with pytest.raises(LookupError):
        store.queue_due_tasks(NOON + SECOND, handed)
    assert store.queue_due_tasks(NOON + SECOND, handed) == 1
    assert handed.devices == ["a", "a"]


def test_what_somebody_hands_over_nobody_else_does(
    store: Store, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE", 2)
    store.postpone_tasks([postponed(device) for device in ("a", "b", "c")], NOON)
    mine, others = Handed(), Handed()
    other = Store(database)

    def meanwhile(page: Sequence[Due]) -> None:
        mine(page)
        assert other.queue_due_tasks(NOON + SECOND, others) == 1

    assert store.queue_due_tasks(NOON + SECOND, meanwhile) == 2
    assert sorted(mine.devices + others.devices) == ["a", "b", "c"]
    other.close()


@pytest.mark.parametrize(("when", "times"), [("before_commit", 2), ("after_commit", 1)])
def test_a_connection_that_breaks_when_they_are_marked(
    wired_store: Store,
    wire: object,
    fetch: Fetch,
    when: str,
    times: int,
) -> None:
    """Without the mark they are handed over again; when only the answer is lost, they are not."""
    wired_store.postpone_tasks([postponed("a")], NOON)
    setattr(wire, when, 1)
    handed = Handed()
    wired_store.queue_due_tasks(NOON + SECOND, handed)
    assert handed.devices == ["a"] * times
    assert wire.cuts == 1  # type: ignore[attr-defined]  # the class stands in conftest
    assert fetch("select state from tasks") == [("queued",)]


def test_what_is_postponed_again_before_it_is_marked_is_not_forgotten(
    store: Store,
    database: DatabaseSettings,
    fetch: Fetch,
    until_blocked: Callable[[], None],
    in_thread: ThreadPoolExecutor,
) -> None:
    """Whoever answers may be faster than whoever hands over."""
    store.postpone_tasks([postponed("a")], NOON)
    other = Store(database)
    again = postponed("a", due=NOON + 9 * SECOND)

    def faster(_: Sequence[Due]) -> None:
        answered.append(in_thread.submit(other.postpone_tasks, [again], NOON + SECOND))
        until_blocked()

    answered: list[object] = []
    assert store.queue_due_tasks(NOON + SECOND, faster) == 1
    answered[0].result(20)  # type: ignore[attr-defined]  # a future
    assert fetch(STATES) == [("a", "retrying", 1, NOON + 9 * SECOND, NOON)]
    other.close()


def test_it_is_crowded_when_many_wait_for_their_turn(store: Store, fetch: Fetch) -> None:
    store.postpone_tasks([postponed("a"), postponed("b")], NOON)
    store.begin_tasks([request("running")], NOON)
    store.queue_due_tasks(NOON + SECOND, Handed())
    store.postpone_tasks([postponed("c")], NOON)
    assert (store.crowded(most=4, now=NOON), store.crowded(most=3, now=NOON)) == (False, True)
    fetch("update tasks set state = 'succeeded' where device_id = 'c' returning 1")
    assert not store.crowded(most=3, now=NOON)


def test_what_is_to_wait_was_not_tried_and_is_handed_over_when_it_is_due(store: Store, fetch: Fetch) -> None:
    store.defer_tasks([(request("a"), NOON + SECOND)], NOON)
    assert fetch(STATES) == [("a", "retrying", 0, NOON + SECOND, None)]
    handed = Handed()
    assert [store.queue_due_tasks(NOON + n * SECOND, handed) for n in (0, 1)] == [0, 1]
    store.begin_tasks([request("a")], NOON + SECOND)
    store.begin_tasks([request("a")], NOON + 2 * SECOND)
    assert fetch("select state, attempts, started from tasks") == [("running", 2, NOON + SECOND)]


def test_what_has_failed_says_why_and_stays_so(store: Store, fetch: Fetch) -> None:
    store.begin_tasks([request("a")], NOON)
    store.fail_tasks([(request("a"), "expired"), (request("b"), "expired")], NOON + SECOND)
    store.fail_tasks([(request("a"), "another reason")], NOON + 2 * SECOND)
    store.defer_tasks([(request("a"), NOON)], NOON + 2 * SECOND)
    store.finish_tasks([(request("a").id, request("b").id)], NOON + 2 * SECOND)
    assert fetch("select device_id, state, error, updated, insight from tasks order by device_id") == [
        ("a", "failed", "expired", NOON + SECOND, None),
        ("b", "failed", "expired", NOON + SECOND, None),
    ]
