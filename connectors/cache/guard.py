"""Something that may fail: nobody waits long for it, and after an error it is left alone for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from connectors import metrics
from connectors.clock import Clock
from connectors.errors import ConnectorError

T = TypeVar("T")
L = TypeVar("L")

# How long one step may take; and how long a level is left alone after a failure, before one caller tries it again.
WITHIN_S: Final = 0.5
PAUSE_S: Final = 2.0

log = logging.getLogger(__name__)


class AwayError(ConnectorError):
    """The level cannot be used now."""

    def __init__(self, outcome: str) -> None:
        """`outcome` as metrics say it: `failed` or `skipped`."""
        self.outcome = outcome
        super().__init__(f"a level of the cache cannot be used: {outcome}")


class Guarded(Generic[L]):
    """A level of the cache, or what one needs, guarded; for one event loop."""

    def __init__(self, name: str, level: L, clock: Clock, *, within_s: float = WITHIN_S) -> None:
        """`name` is what metrics call it; a step may take so many seconds."""
        self._within_s = within_s
        self.name = name
        self._level = level
        self.clock = clock
        self._away = False
        self._again_at = 0.0
        self._trying = False
        metrics.CACHE_AWAY.labels(name).set(0)

    async def do(self, step: Callable[[L], Awaitable[T]]) -> T:
        """Take one step.

        Raises:
            AwayError: the level failed, or has failed just now.

        """
        if self._away and (self._trying or self.clock.monotonic() < self._again_at):
            raise AwayError("skipped")
        self._trying = self._away
        try:
            async with asyncio.timeout(self._within_s):
                given = await step(self._level)
        except (ConnectorError, TimeoutError) as error:
            self._failed(error)
            raise AwayError("failed") from None
        finally:
            self._trying = False
        if self._away:
            self._away = False
            metrics.CACHE_AWAY.labels(self.name).set(0)
            log.info("level %s of the cache can be used again", self.name)
        return given

    def _failed(self, error: Exception) -> None:
        self._again_at = self.clock.monotonic() + PAUSE_S
        if self._away:
            return
        self._away = True
        metrics.CACHE_AWAY.labels(self.name).set(1)
        reason = "it is too slow" if isinstance(error, TimeoutError) else error
        log.warning("level %s of the cache cannot be used, the others go on: %s", self.name, reason)
