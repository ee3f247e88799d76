"""Where questions, and verdicts on their answers, outlast a process (`connectors.timescale.questions.Questions`).

Every method raises `ConnectorError` when it cannot be used.
"""

from collections.abc import Sequence
from typing import Protocol

from connectors.questions import Question, Verdict


class Store(Protocol):
    """A table that all workers share."""

    async def alike(self, gate: str, *, most: int) -> list[Question]:
        """Give the newest questions of a gate that have not expired."""

    async def add(self, question: Question) -> None:
        """Keep a question; the same text of a gate replaces what was there."""

    async def say(self, verdicts: Sequence[Verdict]) -> None:
        """Write verdicts down."""

    async def said(self, since: int) -> list[Verdict]:
        """Give verdicts from the one with this id on, so many at a time."""
