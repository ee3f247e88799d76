"""Whether the answer to one question is right for another, as a model sees it."""

from dataclasses import dataclass
from typing import Final, Protocol

from connectors.llm.call import Terms
from connectors.llm.completion import Reply
from connectors.llm.settings import Tier
from streams.agents.agreeing import agree
from streams.prompts.answer import Answer
from streams.prompts.same import Same, Two, compare

# A few words and a verdict.
OUTPUT_TOKENS: Final = 300


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and what a model said to it."""

    question: str
    answer: Answer


class Judge(Protocol):
    """Who says whether what was answered to one question answers another, too."""

    async def __call__(self, tenant: str, one: Answered, other: Answered, *, audited: bool) -> bool:
        """Say whether the answer to `one` is right for `other`, which has an answer of its own to compare it with.

        Raises:
            ConnectorError: nobody can say now.

        """


class AskModel(Protocol):
    """A model that can be asked for a verdict (`connectors.llm.pool.Pool`)."""

    @property
    def is_tiered(self) -> bool:
        """Whether some of its models are larger than others."""

    async def ask(self, system: str, user: str, answer: type[Same], *, terms: Terms) -> Reply[Same]:
        """Ask, on these terms."""


class ModelJudge:
    """Asks the models that answer questions."""

    def __init__(self, model: AskModel) -> None:
        """Nothing is asked yet."""
        self._model = model

    async def __call__(self, tenant: str, one: Answered, other: Answered, *, audited: bool) -> bool:
        """Ask whether the questions are the same.

        To learn from, answers that contradict one another are enough to say no. What was served is said to be wrong
        only if the questions differ whichever comes first: models wobble, and one such verdict may turn the tier off.

        Raises:
            ConnectorError: as `connectors.llm.pool.Pool.ask`.

        """
        if not audited and not agree(one.answer, other.answer):
            return False
        if await self._same(tenant, one, other):
            return True
        return audited and await self._same(tenant, other, one)

    async def _same(self, tenant: str, one: Answered, other: Answered) -> bool:
        prompt = compare(Two(one.question, one.answer.summary, other.question))
        tier = Tier.LARGE if self._model.is_tiered else Tier.SMALL
        terms = Terms(f"{tenant}\x1fquestions", tenant=tenant, tier=tier, output_tokens=OUTPUT_TOKENS)
        return (await self._model.ask(prompt.system, prompt.user, Same, terms=terms)).answer.same
