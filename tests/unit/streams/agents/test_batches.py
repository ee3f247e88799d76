"""Windows are packed into lines, and what comes back of them is taken apart, whatever it is."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.llm.batches import Result
from connectors.llm.completion import Reply
from connectors.llm.prices import Price, Usage
from connectors.timescale.batches import Ended, Item, Open, OpenLine, Waiting
from schemas.codec import encode
from schemas.fields import Source, deterministic_id
from schemas.models import AnalysisRequest, Sample
from streams.agents.batch_results import answer_of_batch, ended, spent_on
from streams.agents.batches import pack
from streams.agents.packs import ANSWER_TOKENS, FIRST_ANSWER_TOKENS, MOST_LETTERS
from streams.prompts.pack import Answers

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRICE = Price(Decimal(1), Decimal("0.5"), Decimal(2))
HELD = Decimal(1000)


def request(device: str, *, tenant: str = "", metric: str = "t") -> AnalysisRequest:
    asked = AnalysisRequest.of_table(
        request_id=deterministic_id("summary", device),
        region="",
        device_id=device,
        metric=metric,
        kind="hourly-summary",
        window=(START - HOUR, START),
    )
    return asked.model_copy(update={"tenant": tenant, "samples": (Sample(ts=START - HOUR, value=1.0),), "value": 1.0})


def waiting(one: AnalysisRequest) -> Waiting:
    return Waiting(one.id, encode(one))


# -- lines -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["acme", "rival", ""]), min_size=1, max_size=40), st.integers(1, 16))
def test_every_window_is_in_one_line_of_its_tenant(tenants: list[str], most: int) -> None:
    requests = [request(f"pump-{number}", tenant=tenant) for number, tenant in enumerate(tenants)]
    whose = {one.id: one.tenant for one in requests}
    lines = pack([waiting(one) for one in requests], most)
    assert Counter(id_ for line in lines for id_ in line.request_ids) == Counter(whose.keys())
    assert all({whose[id_] for id_ in line.request_ids} == {line.tenant} for line in lines)
    assert all(line.prompt.user.count('{"n":') == len(line.request_ids) <= most for line in lines)
    windows = Counter(tenants)
    assert len(lines) == sum(-(-count // most) for count in windows.values()), "as few lines as that takes"


def test_windows_that_are_alike_stand_together() -> None:
    requests = [request(f"pump-{number}", metric=f"m{number % 3}") for number in range(9)]
    metrics = {one.id: one.metric for one in requests}
    lines = pack([waiting(one) for one in requests], 3)
    assert [{metrics[id_] for id_ in line.request_ids} for line in lines] == [{"m0"}, {"m1"}, {"m2"}]


def test_long_windows_are_packed_less() -> None:
    requests = [request(f"pump-{number}", metric="é" * 128) for number in range(40)]
    lines = pack([waiting(one) for one in requests], 64)
    assert len(lines) > 1
    assert all(len(line.prompt.user) < MOST_LETTERS + 1000 for line in lines)


def test_a_line_may_be_answered_as_long_as_a_call_of_as_many_windows() -> None:
    (line,) = pack([waiting(request(f"pump-{number}")) for number in range(3)], 16)
    question = line.question(7)
    assert (question.key, question.output_tokens) == ("7", FIRST_ANSWER_TOKENS + 2 * ANSWER_TOKENS)
    assert (question.system, question.user) == (line.prompt.system, line.prompt.user)


# -- what comes back ---------------------------------------------------------------------------------------------------


def batch(*windows: int) -> Open:
    lines = {number: OpenLine("acme", count, HELD) for number, count in enumerate(windows, start=1)}
    return Open("id", "first", "remote", START, lines)


def answers(*numbers: int) -> Answers:
    texts: dict[str, object] = {"probable_causes": [], "recommended_actions": []}
    return Answers.model_validate(
        {"answers": [{"n": n, "summary": f"no {n}", "severity": "info", "confidence": 0.5, **texts} for n in numbers]}
    )


def result(key: str, *numbers: int, usage: Usage | None = None) -> Result[Answers]:
    used = Usage(9, 3) if usage is None else usage
    return Result(key, Reply(answers(*numbers), "m-1", used), used)


def finish(one: Open, *results: Result[Answers], outcome: str = "completed") -> Ended:
    return ended(one, outcome, results, model="m", price=PRICE)


def told(end: Ended) -> dict[tuple[int, int], bool]:
    return {(one.line, one.n): one.answer is not None for one in end.answers}


def test_each_window_has_its_answer_and_its_share() -> None:
    end = finish(batch(2, 1), result("2", 1), result("1", 2, 1))
    assert told(end) == {(1, 1): True, (1, 2): True, (2, 1): True}
    assert [(one.prompt_tokens, one.completion_tokens, one.usd) for one in end.answers] == [
        (5, 2, Decimal("7.5")),
        (4, 1, Decimal("7.5")),
        (9, 3, Decimal(15)),
    ]
    assert '"n"' not in (end.answers[0].answer or "")
    assert end.took == {1: Decimal(15), 2: Decimal(15)}
    (spent,) = end.spent
    assert (spent.key, spent.calls, spent.prompt_tokens, spent.usd) == (("acme", "first", "m"), 2, 18, Decimal(30))


def test_windows_without_an_answer_or_with_two_bear_their_share() -> None:
    end = finish(batch(3), result("1", 1, 2, 2, 7))
    assert told(end) == {(1, 1): True, (1, 2): False, (1, 3): False}
    assert {one.usd for one in end.answers} == {Decimal(5)}


def test_of_a_line_that_was_answered_twice_the_first_counts() -> None:
    end = finish(batch(1), result("1", 1), result("1", 1, usage=Usage(900, 300)))
    assert end.took == {1: Decimal(15)}
    assert end.spent[0].calls == 1


@pytest.mark.parametrize("key", ["0", "2", "", "one", "01", "1 ", "-1"])
def test_what_was_never_asked_is_passed_over(key: str) -> None:
    end = finish(batch(1), result(key, 1), outcome="expired")
    assert (end.answers, end.spent, end.took) == ([], [], {1: Decimal(0)})


@pytest.mark.parametrize(("outcome", "unsettled"), [("completed", HELD), ("lost", HELD), ("expired", 0), ("failed", 0)])
def test_a_line_of_which_nothing_was_said_may_have_been_answered_where_the_batch_came_to_it(
    outcome: str, unsettled: Decimal
) -> None:
    end = finish(batch(4), outcome=outcome)
    assert end.took == {1: unsettled}
    assert sum(one.unsettled_usd for one in end.spent) == unsettled


def test_what_was_turned_away_costs_nothing() -> None:
    end = finish(batch(1), Result("1", None, Usage(), is_free=True))
    assert (end.took, end.spent, end.answers) == ({1: Decimal(0)}, [], [])


def test_where_no_tokens_are_told_all_that_was_set_aside_is_spent() -> None:
    end = finish(batch(2), result("1", 1, 2, usage=Usage()))
    assert (end.took, end.spent[0].usd) == ({1: HELD}, HELD)
    assert told(end) == {(1, 1): True, (1, 2): True}


@given(st.lists(st.integers(1, 16), min_size=1, max_size=4), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20))))
def test_the_shares_are_what_was_spent(windows: list[int], said: list[tuple[int, int]]) -> None:
    end = finish(batch(*windows), *(result(str(key), n) for key, n in said), outcome="expired")
    assert sum(one.usd for one in end.answers) == pytest.approx(sum(end.took.values()))
    assert sum(one.usd for one in end.spent) == sum(end.took.values())
    assert all(before != after for before, after in pairwise(sorted(told(end))))


# -- the answer that waits ---------------------------------------------------------------------------------------------


def item(answer: str | None) -> Item:
    return Item("over", encode(request("pump-1")), answer, "m-1", 9, 3, Decimal("0.5"), START)


def test_what_a_batch_has_answered_is_an_insight_that_says_so() -> None:
    found = answer_of_batch(item(answers(1).answers[0].model_dump_json(exclude={"n"})), START + HOUR)
    assert found is not None
    assert (found.source, found.model, found.cost_usd, found.latency_s) == (Source.MODEL, "m-1", 0.5, 3600)
    assert (found.prompt_tokens, found.completion_tokens, found.summary) == (9, 3, "no 1")
    assert found.prompt_hash


@pytest.mark.parametrize("answer", [None, "{}", "[]", '{"summary": "It fell to 999999."}'])
def test_what_cannot_be_used_is_no_insight(answer: str | None) -> None:
    assert answer_of_batch(item(answer), START) is None
    assert spent_on(item(answer)).usd == Decimal("0.5")


def test_who_was_in_no_batch_has_spent_nothing_there() -> None:
    assert spent_on(None) == Usage()
