"""Many windows a call: whoever waits while all calls are out goes together with the next one.

Nothing waits for a pack to fill. As long as calls are free, each window is asked about at once and alone; when none is,
windows gather, and the next free call takes as many as fit, of one tenant and for one tier of models: they take turns.
What matters most is for a large model, and so is what a small one could not answer. What comes back is taken apart, and
only what is missing, or was refused by the check of its numbers, is asked about again. Windows of a pack whose answer
cannot be read at all go on in halves, so that one that spoils every answer ends up alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

from connectors.llm.call import Terms
from connectors.llm.completion import Reply
from connectors.llm.errors import WrongAnswerError
from connectors.llm.prices import Usage
from connectors.llm.settings import Tier
from schemas.fields import Severity, Source
from streams.agents.packs import Room, answer_tokens, split
from streams.prompts.answer import Answer, RefusedAnswerError
from streams.prompts.facts import Facts
from streams.prompts.pack import Answers, by_window
from streams.prompts.prompt import Prompt

# How often a window may come back without an answer that can be used.
ATTEMPTS = 2


class AskModel(Protocol):
    """A model that can be asked for typed answers (`connectors.llm.pool.Pool`)."""

    @property
    def name(self) -> str:
        """What it is called in errors."""

    @property
    def calls(self) -> int:
        """How many calls may be out at once."""

    @property
    def is_tiered(self) -> bool:
        """Whether some of its models are larger than others."""

    async def ask(self, system: str, user: str, answer: type[Answers], *, terms: Terms) -> Reply[Answers]:
        """Ask, on these terms."""


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation, and the endpoint that answered in it before, if any did."""

    id: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a window, the model that gave it, and the window's share of what it took, failed calls included."""

    answer: Answer
    model: str
    usage: Usage
    endpoint: str = ""
    # Whether a model of another tier stood in for one of the tier that was wanted.
    stood_in: bool = False
    source: Source = Source.MODEL


# Windows that may share a call: those of a tenant that are for the same tier.
_Group: TypeAlias = tuple[str, Tier]


@dataclass(eq=False, slots=True)
class _Window:
    facts: Facts
    tier: Tier
    check: Callable[[Answer], None]
    told: "asyncio.Future[Told]"
    session: Session | None = None
    spent: Usage = field(default_factory=Usage)
    attempts: int = 0
    # It may be packed with so many at the most.
    company: int = 0

    @property
    def group(self) -> _Group:
        return self.facts.tenant, self.tier


class Packer:
    """Asks a model about many windows; for one event loop."""

    def __init__(self, model: AskModel, *, windows: int) -> None:
        """Put at most so many windows into a call."""
        self._model = model
        self._most_windows = windows
        self._calls: set[asyncio.Task[None]] = set()
        self._waiting: dict[_Group, deque[_Window]] = {}  # whose turn comes first at the start

    async def ask(self, facts: Facts, check: Callable[[Answer], None], session: Session | None = None) -> Told:
        """Ask about a window, in whatever company; `check` refuses an answer that contradicts it.

        A conversation has no company: it stays at its endpoint.

        Raises:
            ConnectorError: the call failed (`connectors.llm.client.Model.ask`), or had no answer to this window.
            RefusedAnswerError: what `check` raised in the end.

        """
        told: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        company = self._most_windows if session is None else 1
        self._queue([_Window(facts, self.tier(facts), check, told, session, company=company)])
        self._start()
        return await told

    def tier(self, facts: Facts) -> Tier:
        """Say which models a window is for."""
        matters = facts.severity is Severity.CRITICAL or facts.question is not None
        return Tier.LARGE if self._model.is_tiered and matters else Tier.SMALL

    def _queue(self, windows: Sequence[_Window]) -> None:
        for window in windows:
            self._waiting.setdefault(window.group, deque()).append(window)

    def _start(self) -> None:
        while self._waiting and len(self._calls) < self._model.calls:
            pack = self._take()
            if pack:
                call = asyncio.get_running_loop().create_task(self._call(pack))
                self._calls.add(call)
                call.add_done_callback(self._ended)
                for window in pack:
                    window.told.add_done_callback(partial(_give_up, pack, call))

    def _ended(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._start()

    def _take(self) -> list[_Window]:
        """Take as many windows of the group whose turn it is as fit; who has given up waiting is forgotten."""
        group, waiting = next(iter(self._waiting.items()))
        del self._waiting[group]
        pack: list[_Window] = []
        room = Room()
        while waiting:
            window = waiting[0]
            if not window.told.done():
                if not room.takes(window.facts, min(one.company for one in [*pack, window])):
                    break
                pack.append(window)
            waiting.popleft()
        if waiting:
            self._waiting[group] = waiting  # at the end: the others first
        return pack

    async def _call(self, pack: list[_Window]) -> None:
        try:
            await self._exchange(pack)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            self._fail(pack, error)

    async def _exchange(self, pack: list[_Window]) -> None:
        prompt = Prompt.of([window.facts for window in pack])
        try:
            reply = await self._model.ask(prompt.system, prompt.user, Answers, terms=_terms(pack))
        except WrongAnswerError as error:
            self._spend(pack, error.usage)
            self._halve(pack, error)
        else:
            self._spend(pack, reply.usage)
            self._tell(pack, reply)

    def _tell(self, pack: list[_Window], reply: Reply[Answers]) -> None:
        answers = by_window(reply.answer, len(pack))
        for n, window in enumerate(pack, start=1):
            error: Exception | None = WrongAnswerError(self._model.name, "missing", f"window {n} of {len(pack)}")
            if n in answers:
                error = _refusal(window, answers[n])
            if error is None:
                stood_in = reply.tier is not None and reply.tier is not window.tier
                _set(window, Told(answers[n], reply.model, window.spent, reply.endpoint, stood_in))
            else:
                self._again(window, error)

    def _again(self, window: _Window, error: Exception) -> None:
        window.attempts += 1
        if window.attempts < ATTEMPTS:
            window.tier = Tier.LARGE if self._model.is_tiered else window.tier
            self._queue([window])
        else:
            self._fail([window], error)

    def _halve(self, pack: list[_Window], error: WrongAnswerError) -> None:
        if len(pack) == 1:
            self._again(pack[0], error)
            return
        for window in pack:
            window.company = (len(pack) + 1) // 2
        self._queue(pack)

    @staticmethod
    def _spend(pack: list[_Window], usage: Usage) -> None:
        for window, share in zip(pack, split(usage, len(pack)), strict=True):
            window.spent += share

    @staticmethod
    def _fail(pack: list[_Window], error: Exception) -> None:
        for window in pack:
            if not window.told.done():
                window.told.set_exception(error)


def _terms(pack: Sequence[_Window]) -> Terms:
    first = pack[0]
    longest = answer_tokens(len(pack))
    tenant, session = first.facts.tenant, first.session
    if session is not None:
        return Terms(f"{tenant}\x1f{session.id}", session.endpoint, tenant, first.tier, longest)
    # The prompts of devices that are alike begin alike.
    key = f"{tenant}\x1f{first.facts.device_class}\x1f{first.facts.metric}"
    return Terms(key, tenant=tenant, tier=first.tier, output_tokens=longest)


def _refusal(window: _Window, answer: Answer) -> RefusedAnswerError | None:
    try:
        window.check(answer)
    except RefusedAnswerError as error:
        return error
    return None


def _give_up(pack: list[_Window], call: "asyncio.Task[None]", _told: "asyncio.Future[Told]") -> None:
    """End a call that nobody waits for any more."""
    if all(window.told.done() for window in pack):
        call.cancel()


def _set(window: _Window, told: Told) -> None:
    if not window.told.done():
        window.told.set_result(told)
