"""Several endpoints as one model: each call goes where it is answered soonest, and a failure goes on elsewhere.

A call that takes longer than nearly all others of its endpoint is made a second time at another one, and the first
answer counts (hedged requests: Dean and Barroso, The Tail at Scale, 2013); only so many, or a slow day would double the
bill. What is not waited for any more is cancelled, upstream, too.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Protocol, Self, TypeAlias, TypeVar

from pydantic import BaseModel

from connectors import metrics
from connectors.clock import Clock
from connectors.errors import ConnectorError
from connectors.llm.balancer import Balancer, Ticket
from connectors.llm.client import (
    SETTING,
    BusyEndpointError,
    Model,
    RefusedRequestError,
    Reply,
    Usage,
    WrongAnswerError,
)
from connectors.llm.settings import Endpoint

A = TypeVar("A", bound=BaseModel)

# All attempts together may take so many times as long as one.
ATTEMPTS_WITHIN = 1.5
# How long a call waits for an endpoint to come back; a longer outage is for the caller to know.
PATIENCE_S = 3.0
# A call is made a second time after this quantile of its endpoint's latencies; while they are not known, after this
# part of the time that a call may take.
HEDGE_AFTER, HEDGE_PART = 0.95, 0.25
# One in so many calls may be made twice, and so many in a row.
HEDGE_EVERY, HEDGES = 10, 10
# HTTP: a wrong key, model or address. The next call would fail as well.
_MISCONFIGURED = frozenset({401, 403, 404})
_TOO_MANY = 429


class Asked(Protocol):
    """One endpoint's model (`connectors.llm.client.Model`)."""

    async def ask(self, system: str, user: str, answer: type[A]) -> Reply[A]:
        """Ask once."""

    async def close(self) -> None:
        """Close the connections."""


Ask: TypeAlias = Callable[[Asked], Awaitable[Reply[A]]]


class Pool:
    """Asks the endpoints of a list; for one event loop. Closed with `close` or `async with`."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        clock: Clock,
        *,
        timeout_s: float,
        region: str = "",
        connect: Callable[[Endpoint, float], Asked] = Model,
    ) -> None:
        """Nothing is sent yet. A single attempt may take `timeout_s`.

        Raises:
            ConnectorError: there is no endpoint, or one that cannot be used (`connectors.llm.client.Model`).

        """
        endpoints = tuple(endpoints)
        if not endpoints:
            raise ConnectorError(f"There is no model endpoint. Set one in {SETTING}.")
        self._clock = clock
        self._timeout_s = timeout_s
        self._balancer = Balancer(endpoints, clock, region=region)
        self._models = {endpoint.name: connect(endpoint, timeout_s) for endpoint in endpoints}
        self._ended = asyncio.Event()
        self._hedges = float(HEDGES)

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return "any"

    @property
    def balancer(self) -> Balancer:
        """Who knows how each endpoint does."""
        return self._balancer

    async def close(self) -> None:
        """Close the connections of all endpoints."""
        for model in self._models.values():
            await model.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def ask(self, system: str, user: str, answer: type[A], *, key: str = "") -> Reply[A]:
        """Ask until one answers, at most once each. Equal keys go to the same endpoint where that is possible.

        Raises:
            BusyEndpointError: all are away, failed or have too much to do; or there was no answer in time.
            RefusedRequestError: the last one that was asked does not take such a request.
            WrongAnswerError: one answered, but not with what was asked for.

        """
        try:
            async with asyncio.timeout(ATTEMPTS_WITHIN * self._timeout_s):
                return await self._ask(lambda model: model.ask(system, user, answer), key)
        except TimeoutError:
            detail = f"no answer within {ATTEMPTS_WITHIN * self._timeout_s:g} s"
            raise BusyEndpointError(self.name, detail) from None

    async def _ask(self, ask: Ask[A], key: str) -> Reply[A]:
        self._hedges = min(self._hedges + 1 / HEDGE_EVERY, float(HEDGES))
        tried: set[str] = set()
        last: ConnectorError | None = None
        while True:
            ticket = await self._ticket(key, tried, last)
            tried.add(ticket.endpoint.name)
            try:
                return await self._hedged(ticket, ask, key, tried)
            except (BusyEndpointError, RefusedRequestError) as error:
                last = error

    # -- whose turn it is ----------------------------------------------------------------------------------------------

    async def _ticket(self, key: str, tried: set[str], last: ConnectorError | None) -> Ticket:
        """Wait for an endpoint with room, and a little for one to come back; after a failure raise that instead."""
        until = self._clock.monotonic() + PATIENCE_S
        while True:
            ticket = self._balancer.take(key, without=tried)
            if ticket is not None:
                return ticket
            wait_s = self._balancer.waits_for(without=tried)
            if wait_s == 0.0:
                await self._freed(None)  # all that are up are busy
                continue
            left_s = until - self._clock.monotonic()
            if last is not None:
                raise last
            if wait_s is None or left_s <= 0 or left_s < wait_s < math.inf:
                raise BusyEndpointError(self.name, "all endpoints are away", wait_s)
            await self._freed(min(wait_s, left_s))

    async def _freed(self, within_s: float | None) -> None:
        """Wait until a call has ended, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ended.wait()

    # -- one question --------------------------------------------------------------------------------------------------

    async def _hedged(self, ticket: Ticket, ask: Ask[A], key: str, tried: set[str]) -> Reply[A]:
        """Make a call, and if it takes too long the same one elsewhere; give the first answer."""
        first = asyncio.create_task(self._attempt(ticket, ask))
        second: asyncio.Task[Reply[A]] | None = None
        try:
            await asyncio.wait({first}, timeout=self._hedge_after_s(ticket))
            other = await self._other(first, ticket, key, tried)
            if other is None:
                return await first
            second = asyncio.create_task(self._attempt(other, ask))
            reply = await _first_answer(first, second)
            # Whoever is overtaken by a call that began so much later has failed, or a hanging endpoint would never.
            ticket.overtaken = not first.done()
            return reply
        finally:
            await _end(first, second)

    def _hedge_after_s(self, ticket: Ticket) -> float:
        usual_s = ticket.state.latencies.quantile(HEDGE_AFTER)
        return HEDGE_PART * self._timeout_s if usual_s is None else usual_s

    async def _other(self, first: "asyncio.Task[Reply[A]]", ticket: Ticket, key: str, tried: set[str]) -> Ticket | None:
        """Find an endpoint for a call that takes too long; None if it is answered before there is one."""
        while not first.done() and self._balancer.waits_for(without=tried) is not None:
            # At one that is known to fail it is no luxury.
            price = 0.0 if ticket.state.breaker.open_until is not None else 1.0
            other = self._balancer.take(key, without=tried) if self._hedges >= price else None
            if other is not None:
                self._hedges -= price
                metrics.MODEL_HEDGES.labels(ticket.endpoint.name).inc()
                tried.add(other.endpoint.name)
                return other
            changed = asyncio.create_task(self._ended.wait())
            try:
                await asyncio.wait({first, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
        return None

    async def _attempt(self, ticket: Ticket, ask: Ask[A]) -> Reply[A]:
        """Make one call, and tell the balancer how it went."""
        name, outcome = ticket.endpoint.name, "given_up"
        metrics.MODEL_IN_FLIGHT.labels(name).inc()
        try:
            reply = await ask(self._models[name])
        except BusyEndpointError as error:
            if error.status == _TOO_MANY:
                outcome = "too_many"
                self._balancer.too_many(ticket, error.retry_after_s)
            else:
                outcome = "failed"
                self._balancer.failed(ticket, retry_after_s=error.retry_after_s)
            raise
        except RefusedRequestError as error:
            outcome = "refused"
            if error.status in _MISCONFIGURED:
                self._balancer.failed(ticket, at_once=True)
            else:
                self._balancer.given_up(ticket)
            raise
        except WrongAnswerError as error:
            outcome = "wrong"
            self._answered(ticket, error.usage)
            raise
        except BaseException:
            if ticket.overtaken:
                outcome = "failed"
                self._balancer.failed(ticket)
            else:
                self._balancer.given_up(ticket)
            raise
        else:
            outcome = "answered"
            self._answered(ticket, reply.usage)
            return reply
        finally:
            self._tell(ticket, outcome)
            # Everyone who waits looks again: what was freed may not be for the first of them.
            self._ended.set()
            self._ended.clear()

    def _answered(self, ticket: Ticket, usage: Usage) -> None:
        name = ticket.endpoint.name
        self._balancer.succeeded(ticket)
        metrics.MODEL_SECONDS.labels(name).observe(self._clock.monotonic() - ticket.began)
        metrics.MODEL_TOKENS.labels(name, "prompt").inc(usage.prompt_tokens)
        metrics.MODEL_TOKENS.labels(name, "completion").inc(usage.completion_tokens)

    @staticmethod
    def _tell(ticket: Ticket, outcome: str) -> None:
        name, state = ticket.endpoint.name, ticket.state
        metrics.MODEL_CALLS.labels(name, outcome).inc()
        metrics.MODEL_IN_FLIGHT.labels(name).dec()
        metrics.MODEL_LIMIT.labels(name).set(state.concurrency.limit)
        metrics.MODEL_LEFT_ALONE.labels(name).set(state.breaker.open_until is not None)


async def _first_answer(first: "asyncio.Task[Reply[A]]", second: "asyncio.Task[Reply[A]]") -> Reply[A]:
    """Give the answer of whichever has one first; raise what the last one raised if neither has."""
    waiting = {first, second}
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answered = [task for task in done if task.exception() is None]
        if answered or not waiting:
            return (answered or list(done))[0].result()


async def _end(*tasks: "asyncio.Task[Reply[A]] | None") -> None:
    """Cancel what still runs, and see all of it end, whatever came of it."""
    made = [task for task in tasks if task is not None]
    for task in made:
        task.cancel()
    await asyncio.gather(*made, return_exceptions=True)
