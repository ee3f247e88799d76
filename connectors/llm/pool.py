"""Several endpoints as one model: each call goes where it is answered soonest, and a failure goes on elsewhere.

A call that takes longer than nearly all others of its endpoint is made a second time at another one, and the first
answer counts (hedged requests: Dean and Barroso, The Tail at Scale, 2013); only so many, or a slow day would double the
bill. What is not waited for any more is cancelled, upstream, too.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from pydantic import BaseModel

from connectors import metrics
from connectors.clock import Clock
from connectors.closing import Closing
from connectors.errors import ConnectorError
from connectors.llm.attempt import Asked, Attempts, Entry, Member
from connectors.llm.balancer import Balancer, Ticket
from connectors.llm.budget import BudgetAwayError
from connectors.llm.call import ANY, Call, Terms
from connectors.llm.client import Model
from connectors.llm.completion import Reply
from connectors.llm.door import Door, Size, TooSoonError
from connectors.llm.errors import SETTING, BudgetSpentError, BusyEndpointError, RefusedRequestError
from connectors.llm.race import end, first_answer
from connectors.llm.schema import request_bytes
from connectors.llm.settings import Endpoint, Tier, models

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


class Pool(Closing):
    """Asks the endpoints of a list; for one event loop. Closed with `close` or `async with`."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        clock: Clock,
        *,
        timeout_s: float,
        region: str = "",
        door: Door | None = None,
        connect: Callable[[Endpoint, float], Asked] = Model,
    ) -> None:
        """Nothing is sent yet. A single attempt may take `timeout_s`; without a door nothing is reserved.

        Raises:
            ConnectorError: there is no endpoint, or one that cannot be used (`join`).

        """
        self._clock = clock
        self._timeout_s = timeout_s
        self._connect = connect
        self._door = door or Door()
        self._balancer = Balancer([], clock, region=region)
        self._attempts = Attempts(self._balancer, self._door, clock)
        self._members: dict[str, Member] = {}
        self._ended = asyncio.Event()
        self._hedges = float(HEDGES)
        for member in [self.prepare(endpoint) for endpoint in endpoints]:
            self.join(member)
        if not self._members:
            raise ConnectorError(f"There is no model endpoint. Set one in {SETTING}.")

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return "any"

    @property
    def balancer(self) -> Balancer:
        """Who knows how each endpoint does."""
        return self._balancer

    @property
    def calls(self) -> int:
        """How many calls may be out at once."""
        return sum(member.endpoint.max_concurrent for member in self._members.values())

    @property
    def is_tiered(self) -> bool:
        """Whether some of its models are larger than others."""
        return len({member.endpoint.tier for member in self._members.values()}) > 1

    def models(self, tier: Tier) -> list[str]:
        """Name the models that are asked for a tier."""
        return models((member.endpoint for member in self._members.values()), tier)

    @property
    def members(self) -> Mapping[str, Member]:
        """The endpoints, by their names."""
        return self._members

    def prepare(self, endpoint: Endpoint) -> Member:
        """Make ready to ask an endpoint; it may be forgotten again.

        Raises:
            ConnectorError: it cannot be used (`connectors.llm.client.Model`, `connectors.llm.door.Door.price`).

        """
        model = self._connect(endpoint, self._timeout_s)
        return Member(endpoint, model, self._door.price(endpoint, model.base_url))

    def join(self, member: Member) -> None:
        """Ask another endpoint, too; its name must not be that of one which is asked already."""
        self._members[member.endpoint.name] = member
        self._balancer.join(member.endpoint)
        self.wake()

    async def leave(self, name: str) -> None:
        """Ask an endpoint no more; wait for what it was asked already."""
        state, member = self._balancer.leave(name), self._members.pop(name, None)
        self.wake()
        while state is not None and state.in_flight:
            await self._freed(None)
        if member is not None:
            await member.model.close()

    def wake(self) -> None:
        """Let everyone who waits for an endpoint look again: what was freed may not be for the first of them."""
        self._ended.set()
        self._ended.clear()

    async def close(self) -> None:
        """Give back what was leased for calls, and close the connections of all endpoints."""
        try:
            await self._door.close()
        finally:
            for member in self._members.values():
                await member.model.close()

    async def ask(self, system: str, user: str, answer: type[A], *, terms: Terms = ANY) -> Reply[A]:
        """Ask until one answers, at most once each.

        Raises:
            BusyEndpointError: all are away, failed or have too much to do; or there was no answer in time.
            BudgetSpentError: there is no money for it today.
            BudgetAwayError: nobody can say whether there is money for it.
            RefusedRequestError: the last one that was asked does not take such a request.
            WrongAnswerError: one answered, but not with what was asked for.

        """
        size = Size(terms.tenant, request_bytes(system, user, answer), terms.output_tokens)
        call = Call(terms, size, lambda model: model.ask(system, user, answer, output_tokens=terms.output_tokens))
        try:
            async with asyncio.timeout(ATTEMPTS_WITHIN * self._timeout_s):
                return await self._ask(call)
        except TimeoutError:
            detail = f"no answer within {ATTEMPTS_WITHIN * self._timeout_s:g} s"
            raise BusyEndpointError(self.name, detail) from None

    async def _ask(self, call: Call[A]) -> Reply[A]:
        self._hedges = min(self._hedges + 1 / HEDGE_EVERY, float(HEDGES))
        while True:
            entry = await self._entry(call)
            try:
                return await self._hedged(entry, call)
            except (BusyEndpointError, RefusedRequestError) as error:
                call.last = error

    # -- whose turn it is ----------------------------------------------------------------------------------------------

    async def _entry(self, call: Call[A]) -> Entry:
        """Wait for an endpoint that may be called; after a failure, raise that where there is none at once."""
        while True:
            entry = await self._enter(await self._ticket(call), call)
            if entry is not None:
                return entry

    async def _enter(self, ticket: Ticket, call: Call[A]) -> Entry | None:
        """Reserve what a call needs; None where it cannot be made there, or not yet."""
        member = self._members[ticket.endpoint.name]
        try:
            right = await self._door.enter(member.endpoint, member.price, call.size)
        except TooSoonError as error:
            self._balancer.too_soon(ticket, error.wait_s)
        except (BudgetSpentError, BudgetAwayError) as error:
            # There may be another that costs less, or nothing.
            self._balancer.given_up(ticket)
            call.tried.add(ticket.endpoint.name)
            call.last = error
        except BaseException:
            self._balancer.given_up(ticket)
            raise
        else:
            call.tried.add(ticket.endpoint.name)
            return Entry(ticket, right, member.model)
        self.wake()
        return None

    async def _ticket(self, call: Call[A]) -> Ticket:
        """Wait for an endpoint with room, and a little for one to come back."""
        until = self._clock.monotonic() + PATIENCE_S
        while True:
            ticket = self._take(call)
            if ticket is not None:
                return ticket
            wait_s = self._balancer.waits_for(without=call.tried)
            if wait_s == 0.0:  # all that are up are busy
                await self._freed(self._balancer.room_within(without=call.tried))
                continue
            left_s = until - self._clock.monotonic()
            if call.last is not None:
                raise call.last
            if wait_s is None or left_s <= 0 or left_s < wait_s < math.inf:
                raise BusyEndpointError(self.name, "all endpoints are away", wait_s)
            await self._freed(min(wait_s, left_s))

    def _take(self, call: Call[A]) -> Ticket | None:
        terms = call.terms
        return self._balancer.take(terms.key, tier=terms.tier, stay=terms.stay, without=call.tried)

    async def _freed(self, within_s: float | None) -> None:
        """Wait until a call has ended, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ended.wait()

    # -- one question --------------------------------------------------------------------------------------------------

    async def _hedged(self, entry: Entry, call: Call[A]) -> Reply[A]:
        """Make a call, and if it takes too long the same one elsewhere; give the first answer."""
        first = asyncio.create_task(self._attempt(entry, call))
        second: asyncio.Task[Reply[A]] | None = None
        try:
            await asyncio.wait({first}, timeout=self._hedge_after_s(entry.ticket))
            other = await self._other(first, entry.ticket, call)
            if other is None:
                return await first
            second = asyncio.create_task(self._attempt(other, call))
            reply = await first_answer(first, second)
            # Whoever is overtaken by a call that began so much later has failed, or a hanging endpoint would never.
            entry.ticket.overtaken = not first.done()
            return reply
        finally:
            await end(first, second)

    async def _attempt(self, entry: Entry, call: Call[A]) -> Reply[A]:
        try:
            return await self._attempts.make(entry, call.ask)
        finally:
            self.wake()

    def _hedge_after_s(self, ticket: Ticket) -> float:
        usual_s = ticket.state.latencies.quantile(HEDGE_AFTER)
        return HEDGE_PART * self._timeout_s if usual_s is None else usual_s

    async def _other(self, first: "asyncio.Task[Reply[A]]", ticket: Ticket, call: Call[A]) -> Entry | None:
        """Find an endpoint for a call that takes too long; None if it is answered before there is one."""
        while not first.done() and self._balancer.waits_for(without=call.tried) is not None:
            # At one that is known to fail it is no luxury.
            price = 0.0 if ticket.state.breaker.open_until is not None else 1.0
            other = None
            if self._hedges >= price:
                other = self._take(call)
            if other is not None:
                self._hedges -= price
                entry = await self._enter(other, call)
                if entry is not None:
                    metrics.MODEL_HEDGES.labels(ticket.endpoint.name).inc()
                    return entry
                self._hedges += price
                continue
            changed = asyncio.create_task(self._freed(self._balancer.room_within(without=call.tried)))
            try:
                await asyncio.wait({first, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
        return None
