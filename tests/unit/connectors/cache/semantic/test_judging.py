"""What one process sees of similar questions, and hears of the others."""

from collections.abc import Sequence

from connectors.cache.guard import Guarded
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.store import Store
from connectors.errors import UnreachableError
from connectors.questions import Question, Verdict
from tests.fakes.hand_clock import HandClock

# So many right ones at one similarity that nothing is explored there.
SURE = [(0.9, 4000.0, 0.0)]


class Table:
    """Verdicts as the database keeps them."""

    def __init__(self) -> None:
        self.rows: list[Verdict] = []
        self.away = False

    async def alike(self, gate: str, *, most: int) -> list[Question]:
        raise NotImplementedError

    async def add(self, question: Question) -> None:
        raise NotImplementedError

    async def say(self, verdicts: Sequence[Verdict]) -> None:
        if self.away:
            raise UnreachableError("The database", "there", "SETTING")
        for one in verdicts:
            values = (one.worker, one.at, one.skeleton, one.similarity, one.correct, one.served)
            self.rows.append(Verdict(*values, id=len(self.rows) + 1))

    async def said(self, since: int) -> list[Verdict]:
        if self.away:
            raise UnreachableError("The database", "there", "SETTING")
        return [one for one in self.rows if one.id >= since]


def process(table: Table, clock: HandClock, worker: str = "one") -> Judging:
    store: Guarded[Store] = Guarded("semantic", table, clock)
    return Judging(store, worker=worker, rows=SURE)


def served(judging: Judging, skeleton: str, similarity: float = 0.95, times: int = 200) -> int:
    return sum(judging.draw(skeleton, similarity)[0] for _ in range(times))


def test_what_is_similar_enough_is_served_and_what_is_not_is_not() -> None:
    judging = process(Table(), HandClock())
    assert served(judging, "how it is", 0.95) == 200
    assert served(judging, "how it is", 0.4) == 0


def test_a_skeleton_that_was_wrong_has_to_prove_itself_and_no_other_has_to() -> None:
    judging = process(Table(), HandClock())
    judging.note("how it is", 0.95, correct=False, audited=False)
    assert served(judging, "how it is") == 0
    assert served(judging, "where it is") == 200


async def test_a_verdict_is_heard_by_all_once() -> None:
    table, clock = Table(), HandClock()
    one, two = process(table, clock, "one"), process(table, clock, "two")
    for _ in range(60):
        one.note("where it is", 0.95, correct=True, audited=True)
    one.note("how it is", 0.95, correct=False, audited=True)
    await one.exchange()
    for _ in range(3):
        await two.exchange()
        await one.exchange()
    assert served(two, "how it is") == 0
    assert (two.report().checked, two.report().wrong) == (61, 1)
    assert (one.report().checked, one.report().wrong) == (61, 1)
    assert len(table.rows) == 61


async def test_who_starts_anew_knows_what_was_seen() -> None:
    table, clock = Table(), HandClock()
    one = process(table, clock, "one")
    for _ in range(50):
        one.note("how it is", 0.95, correct=True, audited=True)
    one.note("where it is", 0.95, correct=False, audited=False)
    await one.exchange()
    again = process(table, clock, "one-again")
    await again.exchange()
    assert again.report().checked == 50
    assert served(again, "where it is") == 0


async def test_what_cannot_be_written_is_written_later() -> None:
    table, clock = Table(), HandClock()
    one = process(table, clock)
    one.note("how it is", 0.95, correct=True, audited=True)
    table.away = True
    await one.exchange()
    table.away = False
    clock.move(10)
    one.note("how it is", 0.96, correct=True, audited=True)
    await one.exchange()
    assert [row.similarity for row in table.rows] == [0.95, 0.96]


async def test_too_many_wrong_ones_turn_the_tier_off() -> None:
    table, clock = Table(), HandClock()
    one, two = process(table, clock, "one"), process(table, clock, "two")
    for number in range(100):
        one.note("how it is", 0.95, correct=number % 10 > 0, audited=True)
    await one.exchange()
    await two.exchange()
    for judging in (one, two):
        assert judging.report().state == "off"
        assert served(judging, "anything else") == 0
