"""One call to one endpoint: everybody who has to know is told how it went."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from connectors import metrics
from connectors.clock import Clock
from connectors.llm.balancer import Balancer, Ticket
from connectors.llm.completion import Reply
from connectors.llm.door import Door, Pass
from connectors.llm.errors import BusyEndpointError, RefusedRequestError, WrongAnswerError
from connectors.llm.prices import Price, Usage
from connectors.llm.settings import Endpoint

A = TypeVar("A", bound=BaseModel)

# HTTP: a wrong key, model or address. The next call would fail as well.
_MISCONFIGURED = frozenset({401, 403, 404})
_TOO_MANY = 429


class Asked(Protocol):
    """One endpoint's model (`connectors.llm.client.Model`)."""

    @property
    def base_url(self) -> str:
        """Where it is."""

    async def ask(self, system: str, user: str, answer: type[A], *, output_tokens: int | None = None) -> Reply[A]:
        """Ask once."""

    async def models(self) -> frozenset[str]:
        """List its models, which costs nothing."""

    async def close(self) -> None:
        """Close the connections."""


Ask: TypeAlias = Callable[[Asked], Awaitable[Reply[A]]]


@dataclass(frozen=True, slots=True)
class Member:
    """An endpoint, its client, and what its calls cost."""

    endpoint: Endpoint
    model: Asked
    price: Price


@dataclass(frozen=True, slots=True)
class Entry:
    """A call that may be made: it has its place at an endpoint, money, and a part of the minute."""

    ticket: Ticket
    right: Pass
    model: Asked


class Attempts:
    """Makes calls."""

    def __init__(self, balancer: Balancer, door: Door, clock: Clock) -> None:
        """Take those who have to know."""
        self._balancer = balancer
        self._door = door
        self._clock = clock

    async def make(self, entry: Entry, ask: Ask[A]) -> Reply[A]:
        """Make the call.

        Raises:
            BusyEndpointError, RefusedRequestError, WrongAnswerError: as `connectors.llm.client.Model.ask` does; but who
                answers with something else than a completion is no model, and takes no calls now.

        """
        meters = _meters(entry.ticket.endpoint.name)
        meters.in_flight.inc()
        outcome = ""
        try:
            reply = await _asked(entry, ask)
            usage = await self._answered(entry, reply.usage, rest_s=reply.rest_s)
            outcome = "answered"
            endpoint = entry.ticket.endpoint
            return replace(reply, usage=usage, endpoint=endpoint.name, tier=endpoint.tier)
        except WrongAnswerError as error:
            error.usage = await self._answered(entry, error.usage)
            outcome = "wrong"
            raise
        except BaseException as error:
            outcome = outcome or self._unanswered(entry.ticket, error)
            if isinstance(error, RefusedRequestError) or (isinstance(error, BusyEndpointError) and error.is_free):
                await self._door.cost_nothing(entry.right)
            else:
                self._door.lost(entry.right)
            raise
        finally:
            meters.tell(entry.ticket, outcome)

    def _unanswered(self, ticket: Ticket, error: BaseException) -> str:
        """Tell the balancer how a call has failed, and give the metrics' word for it."""
        match error:
            case BusyEndpointError(status=status) if status == _TOO_MANY:
                self._balancer.too_many(ticket, error.retry_after_s)
                return "too_many"
            case BusyEndpointError():
                self._balancer.failed(ticket, retry_after_s=error.retry_after_s)
                return "failed"
            case RefusedRequestError(status=status) if status in _MISCONFIGURED:
                self._balancer.failed(ticket, at_once=True)
                return "refused"
            case RefusedRequestError():
                self._balancer.given_up(ticket)
                return "refused"
            case _ if ticket.overtaken:
                self._balancer.failed(ticket)
                return "failed"
            case _:
                self._balancer.given_up(ticket)
                return "given_up"

    async def _answered(self, entry: Entry, usage: Usage, *, rest_s: float = 0.0) -> Usage:
        ticket = entry.ticket
        self._balancer.succeeded(ticket, rest_s=rest_s)
        meters = _meters(ticket.endpoint.name)
        meters.seconds.observe(self._clock.monotonic() - ticket.began)
        meters.prompt_tokens.inc(usage.prompt_tokens)
        meters.completion_tokens.inc(usage.completion_tokens)
        used = await self._door.answered(entry.right, usage)
        meters.usd.inc(float(used.usd))
        return used


async def _asked(entry: Entry, ask: Ask[A]) -> Reply[A]:
    try:
        return await ask(entry.model)
    except WrongAnswerError as error:
        if error.reason != "protocol":
            raise
        raise BusyEndpointError(error.endpoint, "what it answers is no completion") from error


class _Meters:
    """The metrics of one endpoint. To find them by their labels takes longer than to write them."""

    def __init__(self, name: str) -> None:
        self._calls = partial(metrics.MODEL_CALLS.labels, name)
        self.in_flight = metrics.MODEL_IN_FLIGHT.labels(name)
        self.seconds = metrics.MODEL_SECONDS.labels(name)
        self.prompt_tokens = metrics.MODEL_TOKENS.labels(name, "prompt")
        self.completion_tokens = metrics.MODEL_TOKENS.labels(name, "completion")
        self.usd = metrics.MODEL_USD.labels(name)
        self._limit = metrics.MODEL_LIMIT.labels(name)
        self._left_alone = metrics.MODEL_LEFT_ALONE.labels(name)

    def tell(self, ticket: Ticket, outcome: str) -> None:
        self._calls(outcome).inc()
        self.in_flight.dec()
        self._limit.set(ticket.state.concurrency.limit)
        self._left_alone.set(ticket.state.breaker.open_until is not None)


_meters = cache(_Meters)
