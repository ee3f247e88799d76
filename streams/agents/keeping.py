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
from streams.agents.meaning import Meaning
from streams.agents.packing import Session, Told
from streams.prompts.answer import Answer, RefusedAnswerError
from streams.prompts.facts import Facts
from streams.prompts.kept import Kept, digest, is_for_others
from streams.prompts.prompt import fingerprint

# Who waited for somebody in the same process was answered from its memory.
_SOURCES: Final = {"l1": Source.L1, "l2": Source.L2, "l3": Source.L3, None: Source.L1}

Check = Callable[[Answer], None]


class Asks(Protocol):
    """Who asks models (`streams.agents.packing.Packer`)."""

    async def ask(self, facts: Facts, check: Check, session: Session | None = None) -> Told:
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
    # Without it only what is asked in the same words is the same question.
    meaning: Meaning | None = None

    async def ask(self, facts: Facts, check: Check, session: Session | None = None) -> Told:
        """Give a kept answer, else a model's, which is kept if it fits others.

        An answer is another window's with the same facts: it is checked against this one all the same.

        Raises:
            ConnectorError, RefusedAnswerError: as the model's `ask`; the latter also if it is known to be so.

        """
        window = _Window(self, facts, check, session)
        outcome = await self.cache.get(self.key(facts), window.ask)
        if outcome.own:
            return window.own()
        if outcome.value is None:
            raise RefusedAnswerError("kept", outcome.refused or "")
        if not _fits(outcome.value, check):
            # It has a number of the window that it was asked about.
            return await self.model.ask(facts, check, session)
        return _told(outcome.value, _SOURCES[outcome.level])

    async def kept(self, facts: Facts, check: Check) -> Told | None:
        """Give what the cache would give; None where a model would be asked. Nothing is asked, and nothing kept."""
        key, tiers = self.key(facts), self.cache.tiers
        found = tiers.at_hand(key) or await tiers.in_redis(key) or await tiers.on_disk(key)
        if found is not None:
            kept = found.entry.value
            return None if kept is None or not _fits(kept, check) else _told(kept, _SOURCES[found.level])
        similar = None if self.meaning is None else await self.meaning.find(key, facts, self.models_for(facts))
        if similar is None or similar.served is None or not _fits(similar.served, check):
            return None
        return _told(similar.served, Source.SEMANTIC)

    def key(self, facts: Facts) -> Key:
        """Say under what the answer to these facts is kept."""
        return Key(facts.tenant, digest(facts.tenant, fingerprint(facts), self.models_for(facts)))

    def models_for(self, facts: Facts) -> Iterable[str]:
        """Name the models that are asked about a window."""
        return self.models(self.model.tier(facts))


class _Window:
    """One window for which nothing is kept under its own key."""

    def __init__(self, keeping: Keeping, facts: Facts, check: Check, session: Session | None) -> None:
        self._keeping = keeping
        self._facts = facts
        self._check = check
        self._session = session
        self._told: Told | RefusedAnswerError | None = None

    async def ask(self) -> Made[Kept]:
        """Take the answer to a question that means the same, else ask a model."""
        keeping, meaning = self._keeping, self._keeping.meaning
        similar = None
        if meaning is not None:
            key = keeping.key(self._facts)
            similar = await meaning.find(key, self._facts, keeping.models_for(self._facts))
        if meaning is None or similar is None:
            return await self._ask_model()
        kept = similar.served
        if kept is not None and _fits(kept, self._check):
            self._told = _told(kept, Source.SEMANTIC)
            if similar.checks:
                meaning.check(similar, self._ask_again)
            return Made(kept, keep=False)
        made = await self._ask_model()
        if made.value is not None and made.keep:
            await meaning.learn(similar, made.value)
        return made

    def own(self) -> Told:
        """Give what `ask` came to.

        Raises:
            RefusedAnswerError: no answer that can be used.

        """
        if self._told is None or isinstance(self._told, RefusedAnswerError):
            raise self._told or RefusedAnswerError("kept")
        return self._told

    async def _ask_model(self) -> Made[Kept]:
        self._told = await self._model()
        return _made(self._told)

    async def _ask_again(self) -> Made[Kept]:
        return _made(await self._model())

    async def _model(self) -> Told | RefusedAnswerError:
        try:
            return await self._keeping.model.ask(self._facts, self._check, self._session)
        except RefusedAnswerError as error:
            return error


def _fits(kept: Kept, check: Check) -> bool:
    try:
        check(kept.answer)
    except RefusedAnswerError:
        return False
    return True


def _told(kept: Kept, source: Source) -> Told:
    metrics.CACHE_SAVED_USD.inc(kept.cost_usd)
    return Told(kept.answer, kept.model, Usage(), source=source)


def _made(told: Told | RefusedAnswerError) -> Made[Kept]:
    if isinstance(told, RefusedAnswerError):
        return Made(refused=str(told))
    usage = told.usage
    kept = Kept(
        answer=told.answer,
        model=told.model[:256],
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=float(usage.usd),
    )
    return Made(kept, keep=not told.stood_in and is_for_others(told.answer))
