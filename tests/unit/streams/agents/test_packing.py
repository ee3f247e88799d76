"""Windows share calls: who goes with whom, what is asked again, and what a bad answer costs the others."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from connectors.llm.call import Terms
from connectors.llm.completion import Reply
from connectors.llm.errors import BusyEndpointError, WrongAnswerError
from connectors.llm.prices import Usage
from connectors.llm.settings import Tier
from schemas.models import AnalysisRequest
from streams.agents.packing import ATTEMPTS, Packer, Session, Told
from streams.agents.packs import MOST_LETTERS
from streams.prompts.answer import Answer, RefusedAnswerError
from streams.prompts.facts import Facts
from streams.prompts.pack import Answers

START = datetime(2026, 3, 1, tzinfo=UTC)


def facts(metric: str, *, tenant: str = "acme", question: str | None = None) -> Facts:
    return Facts.of(
        AnalysisRequest.model_validate(
            {
                "id": "6f1c7d3e-5a53-5c0b-9a0e-7469646567a7",
                "tenant": tenant,
                "device_id": "pump",
                "metric": metric,
                "kind": "level",
                "severity": "info",
                "score": 0.5,
                "value": 2.0,
                "baseline": 1.0,
                "spread": 0.1,
                "window_start": START,
                "window_end": START,
                "accepted": START,
                "samples": [],
                "topic": "readings",
                "partition": 0,
                "first_offset": 0,
                "last_offset": 0,
                "question": question,
            }
        )
    )


def answer(n: int, summary: str) -> dict[str, object]:
    texts: dict[str, object] = {"probable_causes": [], "recommended_actions": []}
    return {"n": n, "summary": summary, "severity": "info", "confidence": 0.5, **texts}


class Model:
    """Answers each window with its metric, when it is let go; `spoils` may change the answers or fail."""

    name = "scripted"
    calls = 1
    is_tiered = False

    def __init__(self, spoils: Callable[[list[dict[str, object]]], Sequence[object]] = list) -> None:
        self.asked: list[list[str]] = []
        self.terms: list[Terms] = []
        self.cancelled = 0
        self.free = asyncio.Event()
        self._spoils = spoils

    async def ask(self, system: str, user: str, answer_type: type[Answers], *, terms: Terms) -> Reply[Answers]:
        assert system
        assert terms.key
        self.terms.append(terms)
        metrics = re.findall(r'"metric":"([^"]*)"', user)
        self.asked.append(metrics)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        answers = self._spoils([answer(n, metric) for n, metric in enumerate(metrics, start=1)])
        return Reply(answer_type.model_validate_json(json.dumps({"answers": list(answers)})), "m", Usage(100, 10))


def packer_of(model: Model, *, calls: int, windows: int) -> Packer:
    model.calls = calls
    return Packer(model, windows=windows)


def accept(_answer: Answer) -> None:
    """Find nothing wrong."""


def asked(packer: Packer, *windows: Facts, check: Callable[[Answer], None] = accept) -> "list[asyncio.Task[Told]]":
    return [asyncio.ensure_future(packer.ask(window, check)) for window in windows]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_while_calls_are_free_nothing_waits_and_then_those_that_wait_go_together() -> None:
    model = Model()
    waiting = asked(packer_of(model, calls=2, windows=3), *(facts(metric) for metric in "abcdefgh"))
    await settle()
    assert model.asked == [["a"], ["b"]]

    model.free.set()
    told = await asyncio.gather(*waiting)

    assert model.asked == [["a"], ["b"], ["c", "d", "e"], ["f", "g", "h"]]
    assert [one.answer.summary for one in told] == list("abcdefgh")
    # 100 and 10 tokens a call, shared out.
    assert [one.usage for one in told][:3] == [Usage(100, 10), Usage(100, 10), Usage(34, 4)]
    assert sum(one.usage.prompt_tokens for one in told) == 400


async def test_tenants_take_turns_and_share_no_call() -> None:
    model = Model()
    packer = packer_of(model, calls=1, windows=8)
    windows = [facts("a", tenant="acme")]
    windows += [facts(f"acme-{n}", tenant="acme") for n in range(10)] + [facts("rival", tenant="rival")]
    waiting = asked(packer, *windows)
    model.free.set()
    await asyncio.gather(*waiting)

    assert model.asked[1] == [f"acme-{n}" for n in range(8)]
    assert model.asked[2:] == [["rival"], ["acme-8", "acme-9"]]


async def test_long_windows_are_packed_less() -> None:
    model = Model()
    long = [facts(f"m{n}", question="é" * 990) for n in range(5)]  # each letter takes six
    waiting = asked(packer_of(model, calls=1, windows=8), facts("a"), *long)
    model.free.set()
    await asyncio.gather(*waiting)

    assert [len(call) for call in model.asked] == [1, 2, 2, 1]
    assert MOST_LETTERS < 3 * 6 * 990


@pytest.mark.parametrize(
    "spoils",
    [
        lambda answers: answers[::2],
        lambda answers: [{"n": 2, "summary": "nonsense"}, *answers[:1], *answers[2:]] if len(answers) > 1 else answers,
        lambda answers: [*answers, answers[1]] if len(answers) > 1 else answers,
    ],
)
async def test_only_what_is_missing_is_asked_again(
    spoils: Callable[[list[dict[str, object]]], Sequence[object]],
) -> None:
    model = Model(spoils)
    waiting = asked(packer_of(model, calls=1, windows=8), *(facts(metric) for metric in "abcd"))
    model.free.set()

    told = await asyncio.gather(*waiting)

    assert [one.answer.summary for one in told] == list("abcd")
    assert model.asked[1] == ["b", "c", "d"]
    assert len(model.asked) == 3
    assert set(model.asked[2]) < set("bcd")
    again = told["abcd".index(model.asked[2][0])]
    assert again.usage.prompt_tokens > 100 / len(model.asked[2]), "what the first call cost is counted, too"


async def test_an_answer_that_the_check_refuses_is_asked_for_again_and_then_refused() -> None:
    def check(told: Answer) -> None:
        if told.summary == "b":
            raise RefusedAnswerError("number", "7")

    model = Model()
    waiting = asked(packer_of(model, calls=1, windows=8), *(facts(metric) for metric in "abc"), check=check)
    model.free.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(told[1], RefusedAnswerError)
    assert [one.answer.summary for one in told if isinstance(one, Told)] == ["a", "c"]
    assert model.asked.count(["b"]) == ATTEMPTS - 1


async def test_a_window_that_spoils_every_answer_ends_up_alone() -> None:
    def spoils(answers: list[dict[str, object]]) -> Sequence[object]:
        if any(one["summary"] == "bad" for one in answers):
            raise WrongAnswerError("scripted", "truncated", usage=Usage(80, 0))
        return answers

    model = Model(spoils)
    windows = [facts(metric) for metric in ("x", "a", "b", "bad", "c", "d", "e", "f")]
    waiting = asked(packer_of(model, calls=1, windows=8), *windows)
    model.free.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(one) for one in told].count(WrongAnswerError) == 1
    assert isinstance(told[3], WrongAnswerError)
    assert len(model.asked) < 12
    assert model.asked[-1] == ["bad"]


async def test_an_endpoint_that_fails_fails_for_all_of_the_pack() -> None:
    def spoils(_answers: list[dict[str, object]]) -> Sequence[object]:
        raise BusyEndpointError("scripted", "HTTP 503")

    model = Model(spoils)
    waiting = asked(packer_of(model, calls=1, windows=8), *(facts(metric) for metric in "abc"))
    model.free.set()

    told = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(one) for one in told] == [BusyEndpointError] * 3
    assert len(model.asked) == 2


async def test_a_call_that_nobody_waits_for_is_ended_and_a_window_given_up_is_not_asked_about() -> None:
    model = Model()
    packer = packer_of(model, calls=1, windows=8)
    first, *others = asked(packer, *(facts(metric) for metric in "abc"))
    await settle()
    first.cancel()
    others[0].cancel()
    await settle()
    assert model.cancelled == 1

    model.free.set()
    assert (await others[1]).answer.summary == "c"
    assert model.asked == [["a"], ["c"]]


class Sticking(Model):
    """Does not come back from a window of the metric `stuck` until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck = asyncio.Event()

    async def ask(self, system: str, user: str, answer_type: type[Answers], *, terms: Terms) -> Reply[Answers]:
        if '"metric":"stuck"' in user:
            await self.stuck.wait()
        return await super().ask(system, user, answer_type, terms=terms)


async def test_a_stuck_call_holds_up_nobody_outside_it() -> None:
    model = Sticking()
    model.free.set()
    packer = packer_of(model, calls=2, windows=4)
    (held,) = asked(packer, facts("stuck"))
    await settle()
    told = await asyncio.gather(*asked(packer, *(facts(f"m{n}") for n in range(40))))
    assert len(told) == 40
    assert not held.done()
    model.stuck.set()
    assert (await held).answer.summary == "stuck"


async def test_a_check_that_breaks_is_heard_of_and_nobody_waits_for_ever() -> None:
    def check(told: Answer) -> None:
        if told.summary == "b":
            raise ZeroDivisionError

    model = Model()
    packer = packer_of(model, calls=1, windows=8)
    waiting = asked(packer, *(facts(metric) for metric in "abc"), check=check)
    model.free.set()
    async with asyncio.timeout(5):
        told = await asyncio.gather(*waiting, return_exceptions=True)
        again = await packer.ask(facts("d"), accept)

    assert isinstance(told[1], ZeroDivisionError)
    assert again.answer.summary == "d"


async def test_a_conversation_has_no_company_and_stays_where_it_was() -> None:
    model = Model()
    packer = packer_of(model, calls=1, windows=8)
    first = asked(packer, facts("a"))
    talk = asyncio.ensure_future(packer.ask(facts("b", question="Why?"), accept, Session("talk", "there")))
    rest = asked(packer, facts("c"), facts("d"))
    model.free.set()
    await asyncio.gather(*first, talk, *rest)

    assert ["b"] in model.asked
    terms = model.terms[model.asked.index(["b"])]
    assert (terms.stay, terms.key) == ("there", "acme\x1ftalk")
    assert {one.stay for one in model.terms} == {"", "there"}


async def test_what_matters_is_for_a_large_model_and_so_is_what_a_small_one_could_not_answer() -> None:
    def spoils(answers: list[dict[str, object]]) -> Sequence[object]:
        return [] if answers[0]["summary"] == "hard" and len(model.asked) == 1 else answers

    model = Model(spoils)
    model.is_tiered = True
    model.free.set()
    packer = packer_of(model, calls=1, windows=8)
    await asyncio.gather(*asked(packer, facts("hard"), facts("asked", question="Why?"), facts("plain")))

    tiers = {tuple(metrics): terms.tier for metrics, terms in zip(model.asked, model.terms, strict=True)}
    assert tiers[("plain",)] is Tier.SMALL
    assert [terms.tier for metrics, terms in zip(model.asked, model.terms, strict=True) if "hard" in metrics] == [
        Tier.SMALL,
        Tier.LARGE,
    ]
    assert all(tier is Tier.LARGE for metrics, tier in tiers.items() if "asked" in metrics)
