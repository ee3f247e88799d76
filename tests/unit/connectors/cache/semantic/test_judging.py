"""What one process sees of similar questions, and hears of the others."""

from connectors.cache.guard import Guarded
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.store import Store
from tests.fakes.hand_clock import HandClock
from tests.fakes.question_table import QuestionTable

A, B, C = "<entity1> hotter than <entity2>", "<entity2> cooler than <entity1>", "<entity1> cooler than <entity2>"


def process(table: QuestionTable, clock: HandClock, worker: str = "one") -> Judging:
    store: Guarded[Store] = Guarded("semantic", table, clock)
    return Judging(store, worker=worker)


def served(judging: Judging, form: str, other: str, times: int = 200) -> int:
    return sum(judging.draw(form, other)[0] for _ in range(times))


def note(
    judging: Judging, form: str, other: str, times: int = 5, *, correct: bool = True, audited: bool = False
) -> None:
    for _ in range(times):
        judging.note(form, other, correct=correct, audited=audited)


def test_what_was_seen_to_mean_the_same_is_served_and_nothing_else_is() -> None:
    judging = process(QuestionTable(), HandClock())
    assert [served(judging, *pair) for pair in ((A, A), (A, B), (A, C))] == [200, 0, 0]
    note(judging, A, B)
    note(judging, A, C, correct=False)
    assert [served(judging, *pair) for pair in ((A, A), (A, B), (A, C))] == [200, 200, 0]


def test_nothing_more_is_compared_once_it_is_known() -> None:
    judging = process(QuestionTable(), HandClock())
    assert [judging.is_open(*pair) for pair in ((A, A), (A, B), (A, C))] == [False, True, True]
    note(judging, A, B)
    note(judging, A, C, correct=False)
    assert [judging.is_open(*pair) for pair in ((A, B), (A, C))] == [False, False]


async def test_a_verdict_is_heard_by_all_once() -> None:
    table, clock = QuestionTable(), HandClock()
    one, two = process(table, clock, "one"), process(table, clock, "two")
    note(one, A, B, 60, audited=True)
    note(one, A, C, 1, correct=False, audited=True)
    await one.exchange()
    for _ in range(3):
        await two.exchange()
        await one.exchange()
    assert (two.report().checked, two.report().wrong) == (61, 1)
    assert (one.report().checked, one.report().wrong) == (61, 1)
    assert len(table.verdicts) == 61
    assert len(two.known) == 2


async def test_who_starts_anew_knows_what_was_seen() -> None:
    table, clock = QuestionTable(), HandClock()
    one = process(table, clock, "one")
    note(one, A, B, 50, audited=True)
    await one.exchange()
    again = process(table, clock, "one-again")
    await again.exchange()
    assert again.report().checked == 50
    assert served(again, A, B) == 200


async def test_what_cannot_be_written_is_written_later() -> None:
    table, clock = QuestionTable(), HandClock()
    one = process(table, clock)
    note(one, A, B, 1)
    table.away = True
    await one.exchange()
    table.away = False
    clock.move(10)
    note(one, A, C, 1)
    await one.exchange()
    assert [row.other for row in table.verdicts] == [B, C]


async def test_while_tightened_only_the_very_same_form_is_served() -> None:
    judging = process(QuestionTable(), HandClock())
    note(judging, A, B, 100, audited=True)
    note(judging, B, C, 1, correct=False, audited=True)
    assert judging.report().state == "tightened"
    assert [served(judging, *pair) for pair in ((A, A), (A, B))] == [200, 0]


async def test_too_many_wrong_ones_turn_the_tier_off() -> None:
    table, clock = QuestionTable(), HandClock()
    one, two = process(table, clock, "one"), process(table, clock, "two")
    for _ in range(10):
        note(one, A, B, 9, audited=True)
        note(one, B, C, 1, correct=False, audited=True)
    await one.exchange()
    await two.exchange()
    for judging in (one, two):
        assert judging.report().state == "off"
        assert served(judging, A, A) == 0
