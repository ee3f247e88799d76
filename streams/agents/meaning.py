"""Questions that mean the same are answered the same, and now and then a model is asked whether that is right."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from connectors.cache.cache import Made
from connectors.cache.entry import Key
from connectors.cache.semantic.tier import Asked, Near, Semantic
from connectors.cache.tiers import Tiers
from schemas.errors import TidegateError
from streams.agents.agreeing import agree
from streams.prompts.facts import Facts
from streams.prompts.kept import Kept, surroundings

# How many answers are checked at once: more would take calls from those who wait for one.
CHECKS_AT_ONCE: Final = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Similar:
    """A question, and the most similar one that was answered, if there is one."""

    asked: Asked
    near: Near[Kept] | None

    @property
    def served(self) -> Kept | None:
        """The answer that may be given without asking a model."""
        return self.near.entry.value if self.near is not None and self.near.serves else None

    @property
    def checks(self) -> bool:
        """Whether a model's answer to this question counts for the audit."""
        return self.near is not None and self.near.checks


class Meaning:
    """Finds, learns and checks; for one event loop."""

    def __init__(self, semantic: Semantic[Kept], tiers: Tiers[Kept]) -> None:
        """Nothing is asked yet."""
        self.semantic = semantic
        self._tiers = tiers
        self._checking: set[asyncio.Task[None]] = set()

    async def find(self, key: Key, facts: Facts, models: Iterable[str]) -> Similar | None:
        """Look for a similar question about a window that is told alike. None: that is no question by itself."""
        if facts.question is None or facts.earlier is not None:
            return None
        asked = await self.semantic.read(key, facts.question, surroundings(facts, models))
        return None if asked is None else Similar(asked, await self.semantic.find(asked))

    async def learn(self, similar: Similar, value: Kept) -> None:
        """Take a model's answer to a question: it says whether the similar one's would have been right."""
        self._compare(similar, value, audited=similar.checks)
        await self.semantic.keep(similar.asked, self._tiers.entry(similar.asked.key, value=value))

    def check(self, similar: Similar, ask: Callable[[], Awaitable[Made[Kept]]]) -> None:
        """Ask a model in the background about what was answered by a similar question's answer."""
        if len(self._checking) < CHECKS_AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._check(similar, ask))
            self._checking.add(task)
            task.add_done_callback(self._checking.discard)

    async def close(self) -> None:
        """End what goes on in the background."""
        for task in self._checking:
            task.cancel()
        await asyncio.gather(*self._checking, return_exceptions=True)

    async def _check(self, similar: Similar, ask: Callable[[], Awaitable[Made[Kept]]]) -> None:
        try:
            made = await ask()
        except TidegateError as error:
            log.info("an answer was not checked: %s", error)
            return
        if made.value is None:
            return
        right = self._compare(similar, made.value, audited=True)
        if not right and made.keep:
            # Whoever asks this again is given its own answer.
            entry = self._tiers.entry(similar.asked.key, value=made.value)
            await self._tiers.keep(entry)
            await self.semantic.keep(similar.asked, entry)

    def _compare(self, similar: Similar, value: Kept, *, audited: bool) -> bool:
        near = similar.near
        if near is None or near.entry.value is None:
            return True
        right = agree(near.entry.value.answer, value.answer)
        self.semantic.judging.note(similar.asked.form, near.form, correct=right, audited=audited)
        if not right:
            log.info("a question of the form %r has another answer than one of %r", similar.asked.form, near.form)
        return right
