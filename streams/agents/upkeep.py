"""What has to be done every few seconds beside the work, and what may fail now and then."""

import logging
from collections.abc import Awaitable, Callable

from connectors.errors import ConnectorError

log = logging.getLogger(__name__)


class Upkeep:
    """Does one thing again and again (`streams.agents.analyze_lane.Schedule`)."""

    def __init__(self, what: str, do: Callable[[], Awaitable[None]], *, every_s: float) -> None:
        """Say `what` is done in a word or two, for the log."""
        self._what = what
        self._do = do
        self._every_s = every_s
        self._fails = False

    @property
    def every_s(self) -> float:
        """How often it is done."""
        return self._every_s

    async def look(self) -> bool:
        """Do it; say whether it was done. That it fails is logged once, until it is done again."""
        try:
            await self._do()
        except ConnectorError as error:
            if not self._fails:
                log.warning("%s: %s", self._what, error)
            self._fails = True
            return False
        if self._fails:
            log.warning("%s: works again", self._what)
        self._fails = False
        return True
