"""Questions that mean the same are answered the same, and now and then a model is asked whether that is right."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from connectors.cache.cache import Made
from connectors.cache.entry import Key
from connectors.cache.semantic.tier import Asked, Near, Semantic
from connectors.cache.tiers import Tiers
from schemas.errors import TidegateError
from streams.agents.judge import Answered, Judge
from streams.prompts.facts import Facts
from streams.prompts.kept import Kept, surroundings

# How many answers are judged at once: more would take calls from those who wait for one. The others never are.
AT_ONCE: Final = 2

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

    def __init__(self, semantic: Semantic[Kept], tiers: Tiers[Kept], judge: Judge) -> None:
        """Nothing is asked yet."""
        self.semantic = semantic
        self._tiers = tiers
        self._judge = judge
        self._judging: set[asyncio.Task[None]] = set()

    async def find(self, key: Key, facts: Facts, models: Iterable[str]) -> Similar | None:
        """Look for a similar question about a window that is told alike. None: that is no question by itself."""
        if facts.question is None or facts.earlier is not None:
            return None
        asked = await self.semantic.read(key, facts.question, surroundings(facts, models))
        return None if asked is None else Similar(asked, await self.semantic.find(asked))

    async def learn(self, similar: Similar, value: Kept) -> None:
        """Take a model's answer to a question; whether the similar one's would have been right is seen later."""
        near = similar.near
        if near is not None and (near.checks or self.semantic.judging.is_open(similar.asked.form, near.form)):
            self._later(partial(self._compare, similar, near, value))
        await self.semantic.keep(similar.asked, self._tiers.entry(similar.asked.key, value=value))

    def check(self, similar: Similar, ask: Callable[[], Awaitable[Made[Kept]]]) -> None:
        """Ask a model in the background about what was answered by a similar question's answer."""
        if similar.near is not None:
            self._later(partial(self._check, similar, similar.near, ask))

    async def close(self) -> None:
        """End what goes on in the background."""
        for task in self._judging:
            task.cancel()
        await asyncio.gather(*self._judging, return_exceptions=True)

    def _later(self, judge: Callable[[], Coroutine[None, None, object]]) -> None:
        if len(self._judging) < AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._quietly(judge))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)

    @staticmethod
    async def _quietly(judge: Callable[[], Coroutine[None, None, object]]) -> None:
        try:
            await judge()
        except TidegateError as error:
            log.info("an answer was not judged: %s", error)

    async def _check(self, similar: Similar, near: Near[Kept], ask: Callable[[], Awaitable[Made[Kept]]]) -> None:
        made = await ask()
        if made.value is None:
            return
        right = await self._compare(similar, near, made.value)
        if not right and made.keep:
            # Whoever asks this again is given its own answer.
            entry = self._tiers.entry(similar.asked.key, value=made.value)
            await self._tiers.keep(entry)
            await self.semantic.keep(similar.asked, entry)

    async def _compare(self, similar: Similar, near: Near[Kept], value: Kept) -> bool:
        asked, kept = similar.asked, near.entry.value
        if kept is None:
            return True
        one, other = Answered(near.text, kept.answer), Answered(asked.text, value.answer)
        right = await self._judge(asked.key.tenant, one, other, audited=near.checks)
        self.semantic.judging.note(asked.form, near.form, correct=right, audited=near.checks)
        if not right:
            log.info("a question of the form %r is not answered by one of %r", asked.form, near.form)
        return right
