"""Which letters are meant: by their ids, stage, reason, device, topic, or an expression; all of it has to hold."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from streams.dlq.letter import Letter
from streams.replay.expression import Expression, UnsureError


@dataclass(frozen=True, slots=True)
class Selection:
    """What was asked for; what is empty holds of all."""

    ids: Collection[str] = ()
    stages: Collection[str] = ()
    reasons: Collection[str] = ()
    devices: Collection[str] = ()
    topics: Collection[str] = ()
    where: Expression | None = None
    where_text: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether it leaves nothing out."""
        return self.where is None and not (self.ids or self.stages or self.reasons or self.devices or self.topics)

    def holds(self, letter: Letter) -> bool:
        """Say whether a letter is meant; one that the expression cannot be asked of is not.

        Raises:
            ExpressionError: the expression says neither yes nor no.

        """
        said = letter.said
        asked = (
            (self.ids, said.id),
            (self.stages, said.stage),
            (self.reasons, said.reason),
            (self.devices, letter.device),
            (self.topics, said.topic),
        )
        if any(wanted and has not in wanted for wanted, has in asked):
            return False
        try:
            return self.where is None or self.where.says(letter.facts())
        except UnsureError:
            return False

    def told(self) -> dict[str, Any]:
        """Give it as JSON, for the audit."""
        return {
            "ids": sorted(self.ids),
            "stages": sorted(self.stages),
            "reasons": sorted(self.reasons),
            "devices": sorted(self.devices),
            "topics": sorted(self.topics),
            "where": self.where_text,
        }
