"""Questions that belong together."""

from datetime import UTC, datetime

import pytest

from connectors.errors import UnreachableError
from connectors.redis.conversations import Turn
from schemas.models import AnalysisRequest
from streams.agents.packing import Session
from streams.agents.talks import Talk, Talks
from streams.prompts import facts

START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
FIRST, SECOND = "6f1c7d3e-5a53-5c0b-9a0e-7469646567a7", "6f1c7d3e-5a53-5c0b-9a0e-7469646567a8"


def question(request_id: str, text: str | None = "Why?", conversation: str | None = "talk") -> AnalysisRequest:
    return AnalysisRequest.of_table(
        request_id=request_id,
        region="",
        device_id="pump",
        metric="p",
        kind="question",
        window=(START, END),
        question=text,
        conversation=conversation,
    ).model_copy(update={"tenant": "acme"})


class Memory:
    def __init__(self, *, away: bool = False) -> None:
        self.said: dict[tuple[str, str], list[Turn]] = {}
        self.away = away

    async def turns(self, tenant: str, conversation: str) -> list[Turn]:
        if self.away:
            raise UnreachableError("Redis", "x", "Y")
        return self.said.get((tenant, conversation), [])

    async def add(self, tenant: str, conversation: str, turn: Turn) -> None:
        if self.away:
            raise UnreachableError("Redis", "x", "Y")
        self.said.setdefault((tenant, conversation), []).append(turn)


async def test_a_question_knows_those_before_it_and_who_answered() -> None:
    talks = Talks(Memory())
    assert await talks.before(question(FIRST)) == Talk([], Session("talk"))
    await talks.remember(question(FIRST), "{value} is high.", "one")
    # It was answered, and comes again: it does not come before itself.
    assert await talks.before(question(FIRST)) == Talk([], Session("talk"))
    earlier = [facts.Turn(question="Why?", answer="{value} is high.")]
    assert await talks.before(question(SECOND, "And now?")) == Talk(earlier, Session("talk", "one"))


@pytest.mark.parametrize("asked", [question(FIRST, conversation=None), question(FIRST, text=None)])
async def test_what_belongs_to_nothing_is_remembered_nowhere(asked: AnalysisRequest) -> None:
    memory = Memory()
    talks = Talks(memory)
    await talks.remember(asked, "Yes.", "one")
    assert memory.said == {}
    assert await talks.before(asked) == Talk()


@pytest.mark.parametrize("memory", [None, Memory(away=True)])
async def test_without_a_memory_questions_are_answered_all_the_same(memory: Memory | None) -> None:
    talks = Talks(memory)
    await talks.remember(question(FIRST), "Yes.", "one")
    assert await talks.before(question(SECOND)) == Talk([], Session("talk"))


async def test_long_texts_are_cut() -> None:
    memory = Memory()
    await Talks(memory).remember(question(FIRST, "w" * 5000), "a" * 5000, "one")
    ((turn,),) = memory.said.values()
    assert len(turn.question) == len(turn.answer) == facts.QUESTION_LENGTH
