"""Questions and verdicts as the database keeps them (`connectors.timescale.questions`), in memory."""

from collections.abc import Sequence
from dataclasses import replace

from connectors.errors import UnreachableError
from connectors.questions import Question, Verdict


class QuestionTable:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Question] = {}
        self.verdicts: list[Verdict] = []
        self.away = False
        self.looks = 0

    async def alike(self, gate: str, *, most: int) -> list[Question]:
        self._answer()
        self.looks += 1
        return [one for (of, _), one in self.rows.items() if of == gate][:most]

    async def add(self, question: Question) -> None:
        self._answer()
        self.rows[question.gate, question.digest] = question

    async def say(self, verdicts: Sequence[Verdict]) -> None:
        self._answer()
        for one in verdicts:
            self.verdicts.append(replace(one, id=len(self.verdicts) + 1))

    async def said(self, since: int) -> list[Verdict]:
        self._answer()
        return [one for one in self.verdicts if one.id >= since]

    def _answer(self) -> None:
        if self.away:
            raise UnreachableError("The database", "there", "SETTING")
