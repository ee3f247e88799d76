"""What calls have cost, by tenant, endpoint and model: gathered here, and written down every few seconds."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from connectors.errors import ConnectorError
from connectors.money import Spent


class Books(Protocol):
    """Where it is written down (`connectors.timescale.treasury.Treasury`)."""

    async def record(self, spent: Sequence[Spent]) -> None:
        """Add to what was spent today."""


class Accounts:
    """Gathers; for one event loop."""

    def __init__(self, books: Books) -> None:
        """Nothing was spent yet."""
        self._books = books
        self._unwritten: dict[tuple[str, str, str], Spent] = {}

    def note(self, spent: Spent) -> None:
        """Add calls that have ended."""
        self._unwritten[spent.key] = self._unwritten.get(spent.key, Spent(*spent.key)) + spent

    async def write(self) -> None:
        """Write it down; what cannot be written is kept for the next time.

        Raises:
            ConnectorError: it cannot be.

        """
        taken, self._unwritten = self._unwritten, {}
        if not taken:
            return
        try:
            await self._books.record(list(taken.values()))
        except ConnectorError:
            self._note_all(taken.values())
            raise

    def _note_all(self, many: Iterable[Spent]) -> None:
        for spent in many:
            self.note(spent)
