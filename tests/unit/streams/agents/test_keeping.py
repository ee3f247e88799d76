"""What is kept of answers, for whom, and what is done with an answer that does not fit."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest

from connectors.cache.cache import Cache
from connectors.cache.entry import Codec
from connectors.cache.memory import Memory
from connectors.cache.tiers import Outer, Tiers, Times
from connectors.errors import SlowDownError
from connectors.llm.prices import Usage
from connectors.llm.settings import Tier
from schemas.fields import Severity, Source
from streams.agents.keeping import Keeping
from streams.agents.packing import Session, Told
from streams.prompts.answer import Answer, RefusedAnswerError
from streams.prompts.facts import Facts
from streams.prompts.kept import Kept, digest
from tests.fakes.hand_clock import HandClock
from tests.unit.streams.agents.test_packing import facts


def answer(summary: str = "{metric} of {device} rose") -> Answer:
    return Answer(
        summary=summary, probable_causes=(), recommended_actions=(), severity=Severity.WARNING, confidence=0.5
    )


class Model:
    """Gives what it is told to, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: Told | Exception = Told(answer(), "m-1", Usage(10, 5, usd=Decimal("0.25")))

    def tier(self, _: Facts) -> Tier:
        return Tier.SMALL

    async def ask(self, _: Facts, check: Callable[[Answer], None], session: Session | None = None) -> Told:
        del session
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.told, Exception):
            raise self.told
        check(self.told.answer)
        return self.told


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def keeping(model: Model, clock: HandClock) -> Keeping:
    times = Times(fresh_s=100, stale_s=100, refused_s=10)
    memory: Memory[Kept] = Memory(most_bytes=2**20, most_entries=100)
    cache = Cache(Tiers(Codec(Kept), memory, Outer(), clock, times), clock)
    return Keeping(model, cache, lambda tier: [f"model-{tier}"])


def fits(_: Answer) -> None:
    """Refuse nothing."""


def refuse(_: Answer) -> None:
    raise RefusedAnswerError("number", "12 is none of the window's numbers")


async def test_what_was_told_is_told_again_for_nothing(keeping: Keeping, model: Model) -> None:
    first = await keeping.ask(facts("pressure"), fits)
    again = await keeping.ask(facts("pressure"), fits)
    assert (first.source, first.usage.usd) == (Source.MODEL, Decimal("0.25"))
    assert again == Told(answer(), "m-1", Usage(), source=Source.L1)
    assert model.asked == 1


async def test_other_facts_and_other_tenants_are_asked_about(keeping: Keeping, model: Model) -> None:
    for one in (
        facts("pressure"),
        facts("flow"),
        facts("pressure", tenant="rival"),
        facts("pressure", question="Why?"),
    ):
        assert (await keeping.ask(one, fits)).source is Source.MODEL
    assert model.asked == 4


def test_other_models_have_other_keys() -> None:
    one = digest("acme", "hash", ["a", "b"])
    assert one == digest("acme", "hash", ["b", "a", "a"])
    # Names cannot be joined to look like others.
    others = [
        ("acme", "hash", ["a"]),
        ("acme", "hash", ["a,b"]),
        ("rival", "hash", ["a", "b"]),
        ("acme", "", ["a", "b"]),
    ]
    assert one not in {digest(tenant, prompt, models) for tenant, prompt, models in others}


@pytest.mark.parametrize("summary", ["It rose to 2", "It rose by \N{VULGAR FRACTION ONE HALF}", "It rose to 1,000.5"])
async def test_an_answer_with_numbers_of_its_own_is_not_kept(keeping: Keeping, model: Model, summary: str) -> None:
    model.told = Told(answer(summary), "m-1", Usage())
    for _ in range(2):
        assert (await keeping.ask(facts("pressure"), fits)).source is Source.MODEL
    assert model.asked == 2


async def test_who_waited_for_an_answer_with_numbers_checks_it_against_its_own_window(
    keeping: Keeping, model: Model
) -> None:
    model.told = Told(answer("It rose to 2"), "m-1", Usage())

    def refuse_once(_: Answer, times: list[int] = []) -> None:  # noqa: B006  # counts
        times.append(1)
        if len(times) == 1:
            refuse(_)

    first, fitting, other = await asyncio.gather(
        keeping.ask(facts("pressure"), fits),
        keeping.ask(facts("pressure"), fits),
        keeping.ask(facts("pressure"), refuse_once),
    )
    assert (first.source, fitting.source, other.source) == (Source.MODEL, Source.L1, Source.MODEL)
    assert model.asked == 2


async def test_the_answer_of_another_tier_is_not_kept(keeping: Keeping, model: Model) -> None:
    model.told = Told(answer(), "m-1", Usage(), stood_in=True)
    await keeping.ask(facts("pressure"), fits)
    await keeping.ask(facts("pressure"), fits)
    assert model.asked == 2


async def test_a_refusal_is_known_for_a_while(keeping: Keeping, model: Model, clock: HandClock) -> None:
    with pytest.raises(RefusedAnswerError, match="number") as first:
        await keeping.ask(facts("pressure"), refuse)
    assert first.value.reason == "number"
    with pytest.raises(RefusedAnswerError, match="number") as again:
        await keeping.ask(facts("pressure"), fits)
    assert again.value.reason == "kept"
    assert model.asked == 1
    clock.move(11)
    assert (await keeping.ask(facts("pressure"), fits)).source is Source.MODEL


async def test_that_a_model_has_no_time_is_not_kept(keeping: Keeping, model: Model) -> None:
    good, model.told = model.told, SlowDownError("busy")
    for _ in range(2):
        with pytest.raises(SlowDownError):
            await keeping.ask(facts("pressure"), fits)
    model.told = good
    assert (await keeping.ask(facts("pressure"), fits)).source is Source.MODEL
    assert model.asked == 3
