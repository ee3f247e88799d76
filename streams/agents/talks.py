"""Questions that belong together: what was said before one, and what is remembered of its answer.

Answers are remembered as they were written, with placeholders, so no number of one window slips into the next. Whatever
is wrong with the memory, the question is answered: then as if nothing had been said.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connectors.errors import ConnectorError
from connectors.redis.conversations import Turn
from schemas.models import AnalysisRequest
from streams.agents.packing import Session
from streams.prompts import facts

log = logging.getLogger(__name__)


class Memory(Protocol):
    """Where conversations are kept (`connectors.redis.conversations.Conversations`)."""

    async def turns(self, tenant: str, conversation: str) -> list[Turn]:
        """Give what was said, the oldest first."""

    async def add(self, tenant: str, conversation: str, turn: Turn) -> None:
        """Add what was said last."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What a question is part of, if it is part of anything."""

    earlier: Sequence[facts.Turn] = ()
    session: Session | None = None


class Talks:
    """Knows conversations; for one event loop. Without a memory every question is the first."""

    def __init__(self, memory: Memory | None) -> None:
        """Nothing is read yet."""
        self._memory = memory

    async def before(self, request: AnalysisRequest) -> Talk:
        """Give what was said before this question."""
        if request.question is None or request.conversation is None:
            return Talk()
        turns = await self._turns(request.tenant, request.conversation)
        # The question itself may be there: somebody answered it, and died before the answer stood.
        before = [turn for turn in turns if turn.id != request.id]
        endpoint = before[-1].endpoint if before else ""
        earlier = [facts.Turn(question=turn.question, answer=turn.answer) for turn in before]
        return Talk(earlier, Session(request.conversation, endpoint))

    async def remember(self, request: AnalysisRequest, answer: str, endpoint: str) -> None:
        """Remember what was answered, and by whom."""
        if self._memory is None or request.question is None or request.conversation is None:
            return
        turn = Turn(
            id=request.id,
            question=facts.clip(request.question, facts.QUESTION_LENGTH),
            answer=facts.clip(answer, facts.QUESTION_LENGTH),
            endpoint=endpoint,
        )
        try:
            await self._memory.add(request.tenant, request.conversation, turn)
        except ConnectorError as error:
            log.warning("the next question will not know of this one: %s", error)

    async def _turns(self, tenant: str, conversation: str) -> list[Turn]:
        if self._memory is None:
            return []
        try:
            return await self._memory.turns(tenant, conversation)
        except ConnectorError as error:
            log.warning("a question is answered as if nothing had been said before: %s", error)
            return []
