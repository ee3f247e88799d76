"""Questions in other words: when a model is asked, who judges, and what is learnt of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from connectors.cache.cache import Cache
from connectors.cache.entry import Codec
from connectors.cache.guard import Guarded
from connectors.cache.memory import Memory
from connectors.cache.semantic.audit import State
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.offline import OfflineEmbedder
from connectors.cache.semantic.store import Store
from connectors.cache.semantic.tier import Semantic
from connectors.cache.tiers import Outer, Tiers, Times
from connectors.errors import SlowDownError
from connectors.llm.prices import Usage
from connectors.llm.settings import Tier
from schemas.fields import Severity, Source
from streams.agents.judge import Answered
from streams.agents.keeping import Keeping
from streams.agents.meaning import AT_ONCE, Meaning
from streams.agents.packing import Session, Told
from streams.prompts.answer import Answer
from streams.prompts.facts import Facts
from streams.prompts.kept import Kept
from tests.fakes.hand_clock import HandClock
from tests.fakes.question_table import QuestionTable
from tests.unit.streams.agents.test_packing import facts

HOTTER, COOLER = "Is pump {} hotter than fan {}?", "Does fan {1} run cooler than pump {0}?"


def fits(_: Answer) -> None:
    """Refuse nothing."""


class Model:
    """Answers a question with itself, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def tier(self, _: Facts) -> Tier:
        return Tier.LARGE

    async def ask(self, of: Facts, check: Callable[[Answer], None], session: Session | None = None) -> Told:
        del check, session
        text = "".join(letter for letter in str(of.question) if not letter.isdigit())
        self.asked.append(str(of.question))
        answer = Answer(
            summary=text, probable_causes=(), recommended_actions=(), severity=Severity.INFO, confidence=0.5
        )
        return Told(answer, "m-1", Usage())


@dataclass
class Judge:
    says: bool | Exception = True
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    async def __call__(self, tenant: str, one: Answered, other: Answered, *, audited: bool) -> bool:
        assert tenant == "acme"
        self.asked.append((one.question, other.question, audited))
        await self.waits.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class People:
    """They ask, and wait until it has been judged."""

    def __init__(self) -> None:
        clock = HandClock()
        times = Times(fresh_s=100, stale_s=100, refused_s=10)
        memory: Memory[Kept] = Memory(most_bytes=2**20, most_entries=1000)
        tiers = Tiers(Codec(Kept), memory, Outer(), clock, times)
        store: Guarded[Store] = Guarded("semantic", QuestionTable(), clock)
        self.judging = Judging(store, worker="w")
        semantic = Semantic(Codec(Kept), store, OfflineEmbedder(), tiers.orders, self.judging)
        self.model, self.judge = Model(), Judge()
        self.judge.waits.set()
        self.meaning = Meaning(semantic, tiers, self.judge)
        self.keeping = Keeping(self.model, Cache(tiers, clock), lambda tier: [tier], self.meaning)

    async def ask(self, question: str) -> Source:
        told = await self.keeping.ask(facts("pressure", question=question), fits)
        await self.judged()
        return told.source

    async def judged(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others and self.judge.waits.is_set():
            await asyncio.wait(others)

    async def ask_pairs(self, first: int, count: int) -> list[Source]:
        """Ask one question and then the other of other pumps; say how the others were answered."""
        sources = []
        for number in range(first, first + count):
            await self.ask(HOTTER.format(number, number + 1))
            sources.append(await self.ask(COOLER.format(number, number + 1)))
        return sources


@pytest.fixture
async def people() -> AsyncIterator[People]:
    made = People()
    yield made
    made.judge.waits.set()
    await made.meaning.close()


async def test_what_is_judged_the_same_again_and_again_is_served_and_judged_no_more(people: People) -> None:
    assert await people.ask_pairs(10, 5) == [*[Source.MODEL] * 3, *[Source.SEMANTIC] * 2]
    learnt = [asked for asked in people.judge.asked if not asked[2]]
    assert learnt == [(HOTTER.format(n, n + 1), COOLER.format(n, n + 1), False) for n in (10, 11, 12)]
    assert all(other in people.model.asked for _, other, _ in people.judge.asked), "it is compared with a model's"


async def test_what_is_judged_another_question_is_never_served_and_soon_not_compared(people: People) -> None:
    people.judge.says = False
    assert await people.ask_pairs(10, 8) == [Source.MODEL] * 8
    assert len(people.judge.asked) == 2


async def test_who_cannot_judge_teaches_nothing_and_disturbs_nobody(people: People) -> None:
    people.judge.says = SlowDownError("the models are busy")
    assert await people.ask_pairs(10, 5) == [Source.MODEL] * 5
    people.judge.says = True
    assert await people.ask_pairs(20, 4) == [*[Source.MODEL] * 3, Source.SEMANTIC]


async def test_nobody_waits_for_a_verdict_and_few_are_awaited_at_once(people: People) -> None:
    people.judge.waits.clear()
    assert await people.ask_pairs(10, 10) == [Source.MODEL] * 10
    await asyncio.sleep(0)
    assert len(people.judge.asked) == AT_ONCE
    people.judge.waits.set()
    await people.judged()
    assert len(people.judge.asked) == AT_ONCE, "the others are forgotten"


async def test_what_was_served_wrongly_is_found_out_and_has_its_own_answer_from_then_on(people: People) -> None:
    await people.ask_pairs(10, 3)
    people.judge.says = False
    for number in range(20, 60):
        await people.ask_pairs(number, 1)
        if people.judging.report().state is State.OFF:
            break
    found_out = COOLER.format(number, number + 1)
    assert people.judge.asked[-1][1:] == (found_out, True)
    assert await people.ask(found_out) is Source.L1
    assert await people.ask_pairs(70, 3) == [Source.MODEL] * 3


async def test_a_question_that_goes_on_from_another_is_no_question_by_itself(people: People) -> None:
    await people.ask("Is it too hot?")
    goes_on = facts("pressure", question="Please, is it too hot?")
    assert (await people.keeping.ask(goes_on.model_copy(update={"earlier": ()}), fits)).source is Source.MODEL
    assert (await people.keeping.ask(goes_on, fits)).source is Source.SEMANTIC
