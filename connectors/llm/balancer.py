"""Which endpoint gets the next call. Pure but for the clock that it is given; `pool` makes the calls.

An endpoint may be called while its breaker allows it, it has not asked to be left alone, its minute is not used up, and
less than its limit is out. Those of the own region come first, and of these the tier that is wanted: a small model
stands in for a large one that has no room, a large one for small ones only if all of those are away. Among equals a key
goes where it belongs (`affinity`), unless more is out there than its share by a quarter (consistent hashing with
bounded loads: Mirrokni, Thorup and Zadimoghaddam 2016); a call without a key goes to the least loaded.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.clock import Clock
from connectors.llm.affinity import ranking
from connectors.llm.breaker import Breaker
from connectors.llm.concurrency import Concurrency
from connectors.llm.latency import Latencies
from connectors.llm.settings import Endpoint, Tier

# How far above its share an endpoint may be and still get the calls of its keys.
OVERLOAD = 1.25
# However long an endpoint asks to be left alone.
LONGEST_REST_S = 300.0
# How long an endpoint is left alone of which nobody can say when its minute has room again.
UNKNOWN_REST_S = 1.0


@dataclass(eq=False, slots=True)
class State:
    """What is known of an endpoint."""

    endpoint: Endpoint
    concurrency: Concurrency
    breaker: Breaker = field(default_factory=Breaker)
    latencies: Latencies = field(default_factory=Latencies)
    in_flight: int = 0
    # It asked to be left alone until then.
    not_before: float = float("-inf")
    # Its minute is used up until then.
    full_until: float = float("-inf")

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.endpoint.name

    def is_up(self, now: float) -> bool:
        """Say whether it could be called if it had room."""
        return now >= self.not_before and self.breaker.allows(now)

    def has_room(self, now: float) -> bool:
        """Say whether fewer calls are out than may be, and its minute is not used up."""
        return self.in_flight < self.concurrency.limit and now >= self.full_until

    def up_at(self, now: float) -> float:
        """Say when it could be called at the earliest; while a trial is out nobody knows."""
        opens = now if self.breaker.open_until is None else self.breaker.open_until
        return math.inf if self.breaker.trial else max(now, self.not_before, opens)


@dataclass(eq=False, slots=True)
class Ticket:
    """A call that may be made, and has to be ended with one of the four words of `Balancer`."""

    state: State
    began: float
    trial: bool
    # Another call, which began later, was answered before it.
    overtaken: bool = False

    @property
    def endpoint(self) -> Endpoint:
        """Where the call goes."""
        return self.state.endpoint


class Balancer:
    """Chooses among endpoints; for one event loop."""

    def __init__(self, endpoints: Iterable[Endpoint], clock: Clock, *, region: str = "") -> None:
        """Begin with all of them taken for healthy."""
        self._clock = clock
        self._region = region
        self._states: dict[str, State] = {}
        for endpoint in endpoints:
            self.join(endpoint)

    def join(self, endpoint: Endpoint) -> None:
        """Add an endpoint; one of the same name, with all that is known of it, is forgotten."""
        self._states[endpoint.name] = State(endpoint, Concurrency(endpoint.max_concurrent))

    def leave(self, name: str) -> State | None:
        """Give an endpoint no more calls. Those that are out may end."""
        return self._states.pop(name, None)

    @property
    def states(self) -> Mapping[str, State]:
        """What is known of each endpoint, by name."""
        return self._states

    def take(
        self, key: str = "", *, tier: Tier = Tier.SMALL, stay: str = "", without: Collection[str] = ()
    ) -> Ticket | None:
        """Choose an endpoint for a call, not one of `without`; None while there is none with room.

        The one named `stay` is chosen whatever else holds, if it is up and has room.
        """
        now = self._clock.monotonic()
        kept = self._states.get(stay)
        if kept is not None and stay not in without and kept.is_up(now) and kept.has_room(now):
            return self._begin(kept, now)
        up = [state for name, state in self._states.items() if name not in without and state.is_up(now)]
        for near in (True, False):
            here = [state for state in up if self._is_near(state) is near]
            wanted = [state for state in here if state.endpoint.tier is tier]
            others = [state for state in here if state.endpoint.tier is not tier]
            stands_in = tier is Tier.LARGE or not wanted
            for alike in (wanted, others if stands_in else []):
                free = [state for state in alike if state.has_room(now)]
                if free:
                    return self._begin(self._choose(free, alike, key), now)
        return None

    def room_within(self, *, without: Collection[str] = ()) -> float | None:
        """Say in how many seconds the first minute that is used up has room again; None where none is."""
        now = self._clock.monotonic()
        full = [state.full_until for name, state in self._states.items() if name not in without and state.is_up(now)]
        return min((until - now for until in full if until > now), default=None)

    def waits_for(self, *, without: Collection[str] = ()) -> float | None:
        """Say in how many seconds one could be called; 0 where it only has no room, None where there is none."""
        now = self._clock.monotonic()
        found = [state.up_at(now) for name, state in self._states.items() if name not in without]
        return max(0.0, min(found) - now) if found else None

    def succeeded(self, ticket: Ticket, *, rest_s: float = 0.0) -> None:
        """End a call that was answered, whatever the answer was; its minute is used up for `rest_s`."""
        now = self._clock.monotonic()
        state = ticket.state
        state.concurrency.succeeded(ticket.began, now, in_flight=state.in_flight)
        state.breaker.succeeded(trial=ticket.trial)
        state.latencies.add(now - ticket.began)
        if rest_s > 0:
            state.full_until = max(state.full_until, now + min(rest_s, LONGEST_REST_S))
        state.in_flight -= 1

    def too_many(self, ticket: Ticket, retry_after_s: float | None) -> None:
        """End a call that was turned away because there are too many: that is no failure, but fewer are sent."""
        now = self._clock.monotonic()
        state = ticket.state
        state.concurrency.too_many(ticket.began, now)
        self._leave_alone(state, now, retry_after_s)
        state.breaker.given_up(trial=ticket.trial)
        state.in_flight -= 1

    def failed(self, ticket: Ticket, *, at_once: bool = False, retry_after_s: float | None = None) -> None:
        """End a call that failed; `at_once` says that the next one would fail, too."""
        now = self._clock.monotonic()
        state = ticket.state
        opened = state.breaker.failed(now, trial=ticket.trial, at_once=at_once)
        if opened:  # whoever comes back is not met by all at once
            state.concurrency.too_many(ticket.began, now)
        self._leave_alone(state, now, retry_after_s)
        state.in_flight -= 1

    def probed(self, name: str, *, alive: bool) -> None:
        """Note whether an endpoint answered to a probe."""
        state = self._states.get(name)
        if state is not None:
            state.breaker.probed(self._clock.monotonic(), alive=alive)

    def given_up(self, ticket: Ticket) -> None:
        """End a call that nobody waits for any more."""
        ticket.state.breaker.given_up(trial=ticket.trial)
        ticket.state.in_flight -= 1

    def too_soon(self, ticket: Ticket, wait_s: float) -> None:
        """End a call that was not made: the endpoint's minute is used up for so long, infinity if nobody knows."""
        now = self._clock.monotonic()
        if math.isinf(wait_s):
            self._leave_alone(ticket.state, now, UNKNOWN_REST_S)
        else:
            ticket.state.full_until = now + min(wait_s, LONGEST_REST_S)
        self.given_up(ticket)

    @staticmethod
    def _leave_alone(state: State, now: float, retry_after_s: float | None) -> None:
        if retry_after_s is not None:
            state.not_before = max(state.not_before, now + min(retry_after_s, LONGEST_REST_S))

    def _is_near(self, state: State) -> bool:
        return state.endpoint.region in {"", self._region}

    @staticmethod
    def _choose(free: Sequence[State], here: Sequence[State], key: str) -> State:
        if key:
            out = sum(state.in_flight for state in here) + 1
            weight = sum(state.endpoint.weight for state in here)
            by_name = {state.name: state for state in free}
            for name in ranking(key, {state.name: state.endpoint.weight for state in free}):
                state = by_name[name]
                if state.in_flight < math.ceil(OVERLOAD * out * state.endpoint.weight / weight):
                    return state
        return min(free, key=lambda state: ((state.in_flight + 1) / state.endpoint.weight, state.name))

    def _begin(self, state: State, now: float) -> Ticket:
        state.in_flight += 1
        return Ticket(state, now, state.breaker.begin())
