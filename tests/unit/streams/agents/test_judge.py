"""Who may say that two questions are the same."""

from dataclasses import dataclass, field

import pytest

from connectors.llm.call import Terms
from connectors.llm.completion import Reply
from connectors.llm.prices import Usage
from connectors.llm.settings import Tier
from schemas.fields import Severity
from streams.agents.judge import Answered, ModelJudge
from streams.prompts.answer import Answer
from streams.prompts.same import Same, Two, compare


def said(question: str, summary: str) -> Answered:
    answer = Answer(summary=summary, probable_causes=(), recommended_actions=(), severity=Severity.INFO, confidence=0.5)
    return Answered(question, answer)


DID, HAS = said("Did it rise?", "It rose."), said("Has it risen?", "It increased.")
IS = said("Is it up?", "It fell.")


@dataclass
class Model:
    """Says the one after the other."""

    verdicts: list[bool]
    is_tiered: bool = False
    asked: list[tuple[str, Terms]] = field(default_factory=list)

    async def ask(self, system: str, user: str, answer: type[Same], *, terms: Terms) -> Reply[Same]:
        assert system
        self.asked.append((user, terms))
        return Reply(answer(difference="", same=self.verdicts[len(self.asked) - 1]), "m-1", Usage())


@pytest.mark.parametrize("same", [True, False])
async def test_a_model_says_it(same: bool) -> None:  # noqa: FBT001  # a case
    model = Model([same])
    assert await ModelJudge(model)("acme", DID, HAS, audited=False) is same
    ((user, terms),) = model.asked
    assert user == compare(Two("Did it rise?", "It rose.", "Has it risen?")).user
    assert (terms.tenant, terms.tier) == ("acme", Tier.SMALL)


async def test_nothing_is_learnt_of_answers_that_contradict_one_another() -> None:
    model = Model([])
    assert not await ModelJudge(model)("acme", DID, IS, audited=False)


@pytest.mark.parametrize(("verdicts", "right"), [([True], True), ([False, True], True), ([False, False], False)])
async def test_what_was_served_is_wrong_only_seen_from_both_sides(verdicts: list[bool], right: bool) -> None:  # noqa: FBT001
    model = Model(verdicts)
    assert await ModelJudge(model)("acme", DID, IS, audited=True) is right
    # The same model may answer the same question in other ways: what it said is no evidence here.
    first, *others = [user for user, _ in model.asked]
    assert first == compare(Two("Did it rise?", "It rose.", "Is it up?")).user
    assert others == [compare(Two("Is it up?", "It fell.", "Did it rise?")).user][: len(verdicts) - 1]


async def test_it_is_asked_of_the_models_that_answer_questions() -> None:
    model = Model([True], is_tiered=True)
    await ModelJudge(model)("acme", DID, HAS, audited=False)
    assert [terms.tier for _, terms in model.asked] == [Tier.LARGE]
