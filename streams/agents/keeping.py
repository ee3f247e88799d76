"""Models that are asked only what nobody has been told before: in front of them stands the cache."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from connectors import metrics
from connectors.cache.cache import Cache, Made
from connectors.cache.entry import Key
from connectors.llm.prices import Usage
from connectors.llm.settings import Tier
from schemas.fields import Source
from streams.agents.packing import Session, Told
from streams.prompts.answer import Answer, RefusedAnswerError
from streams.prompts.facts import Facts
from streams.prompts.kept import Kept, digest, is_for_others
from streams.prompts.prompt import fingerprint

# Who waited for somebody in the same process was answered from its memory.
_SOURCES: Final = {"l1": Source.L1, "l2": Source.L2, "l3": Source.L3, None: Source.L1}


class Asks(Protocol):
    """Who asks models (`streams.agents.packing.Packer`)."""

    async def ask(self, facts: Facts, check: Callable[[Answer], None], session: Session | None = None) -> Told:
        """Ask about a window; an answer that `check` refuses is none."""

    def tier(self, facts: Facts) -> Tier:
        """Say which models a window is for."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Asks a model once for all windows that are alike (`streams.agents.analyze.Asks`)."""

    model: Asks
    cache: Cache[Kept]
    # The models' names, by tier.
    models: Callable[[Tier], Iterable[str]]

    async def ask(self, facts: Facts, check: Callable[[Answer], None], session: Session | None = None) -> Told:
        """Give a kept answer, else a model's, which is kept if it fits others.

        An answer is another window's with the same facts: it is checked against this one all the same.

        Raises:
            ConnectorError, RefusedAnswerError: as the model's `ask`; the latter also if it is known to be so.

        """
        told: list[Told] = []
        refusals: list[RefusedAnswerError] = []

        async def ask() -> Made[Kept]:
            try:
                told.append(await self.model.ask(facts, check, session))
            except RefusedAnswerError as error:
                refusals.append(error)
                return Made(refused=str(error))
            return _made(told[-1])

        outcome = await self.cache.get(self.key(facts), ask)
        if outcome.own:
            if refusals:
                raise refusals[0]
            return told[0]
        if outcome.value is None:
            raise RefusedAnswerError("kept", outcome.refused or "")
        try:
            check(outcome.value.answer)
        except RefusedAnswerError:
            # It has a number of the window that it was asked about.
            return await self.model.ask(facts, check, session)
        metrics.CACHE_SAVED_USD.inc(outcome.value.cost_usd)
        return Told(outcome.value.answer, outcome.value.model, Usage(), source=_SOURCES[outcome.level])

    def key(self, facts: Facts) -> Key:
        """Say under what the answer to these facts is kept."""
        return Key(facts.tenant, digest(facts.tenant, fingerprint(facts), self.models(self.model.tier(facts))))


def _made(told: Told) -> Made[Kept]:
    usage = told.usage
    kept = Kept(
        answer=told.answer,
        model=told.model[:256],
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=float(usage.usd),
    )
    return Made(kept, keep=not told.stood_in and is_for_others(told.answer))
