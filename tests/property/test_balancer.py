"""The balancer as a state machine: whatever calls do, no rule of it is broken."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from connectors.llm.affinity import ranking
from connectors.llm.balancer import OVERLOAD, Balancer, Ticket
from connectors.llm.breaker import FAILURES, LONGEST_PAUSE_S
from connectors.llm.settings import Endpoint, Tier
from tests.fakes.hand_clock import HandClock

ENDPOINTS = [
    Endpoint(name="near", max_concurrent=3, region="eu"),
    Endpoint(name="heavy", max_concurrent=4, weight=3.0, region="eu"),
    Endpoint(name="large", max_concurrent=2, region="eu", tier=Tier.LARGE),
    Endpoint(name="anywhere", max_concurrent=2),
    Endpoint(name="far", max_concurrent=2, region="us", tier=Tier.LARGE),
]
NEAR = {"near", "heavy", "large", "anywhere"}
LARGE = {"large", "far"}
KEYS = st.sampled_from(["", "a", "b", "c", "d"])


class Machine(RuleBasedStateMachine):
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.balancer = Balancer(ENDPOINTS, self.clock, region="eu")
        self.out: list[Ticket] = []
        self.failures = dict.fromkeys(self.balancer.states, 0)  # in a row

    def up(self) -> set[str]:
        now = self.clock.monotonic()
        return {name for name, state in self.balancer.states.items() if state.is_up(now)}

    def end(self, ticket: Ticket) -> None:
        self.out.remove(ticket)

    @rule(
        target=calls,
        key=KEYS,
        tier=st.sampled_from(Tier),
        stay=st.sampled_from(["", "gone", *(one.name for one in ENDPOINTS)]),
        without=st.sets(st.sampled_from([one.name for one in ENDPOINTS]), max_size=2),
    )
    def take(self, key: str, tier: Tier, stay: str, without: set[str]) -> Ticket | None:
        states, up = self.balancer.states, self.up() - without
        free = {name for name in up if states[name].has_room(self.clock.monotonic())}
        load = {name: states[name].in_flight for name in up}
        ticket = self.balancer.take(key, tier=tier, stay=stay, without=without)
        # Those that may be asked, the better ones first: a large model for a small one only if all of those are away.
        groups = []
        for here in (up & NEAR, up - NEAR):
            large, small = here & LARGE, here - LARGE
            groups += [large, small] if tier is Tier.LARGE else [small] if small else [large]
        group = next((one for one in groups if one & free), None)
        if ticket is None:
            assert group is None, "whoever has room is used"
            return None
        name = ticket.endpoint.name
        assert name in free, "none that is away, ejected, excluded or full"
        self.out.append(ticket)
        if stay in free:
            assert name == stay, "who answered before stays, while it can"
            return ticket
        assert group is not None
        assert name in group, "the own region and the tier that is wanted, if there is a way"
        if key:
            here = group
            weight, total = sum(states[one].endpoint.weight for one in here), sum(load[one] for one in here) + 1
            choice = {one: states[one].endpoint.weight for one in free & here}
            fitting = [
                one for one in ranking(key, choice) if load[one] < math.ceil(OVERLOAD * total * choice[one] / weight)
            ]
            assert not fitting or name == fitting[0], "it goes where it belongs unless that has more than its share"
        return ticket

    @rule(ticket=consumes(calls))
    def succeed(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            self.end(ticket)
            self.balancer.succeeded(ticket)
            self.failures[ticket.endpoint.name] = 0

    @rule(ticket=consumes(calls), at_once=st.booleans())
    def fail(self, ticket: Ticket | None, *, at_once: bool) -> None:
        if ticket is not None:
            self.end(ticket)
            was_open = ticket.state.breaker.open_until is not None
            self.balancer.failed(ticket, at_once=at_once)
            name = ticket.endpoint.name
            self.failures[name] += 1
            if ticket.trial or (not was_open and (at_once or self.failures[name] >= FAILURES)):
                assert name not in self.up(), "ejected"

    @rule(ticket=consumes(calls), retry_after_s=st.none() | st.floats(0.1, 1e6))
    def too_many(self, ticket: Ticket | None, retry_after_s: float | None) -> None:
        if ticket is not None:
            self.end(ticket)
            self.balancer.too_many(ticket, retry_after_s)
            if retry_after_s is not None:
                assert ticket.endpoint.name not in self.up(), "left alone as it asked"

    @rule(ticket=consumes(calls))
    def give_up(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            self.end(ticket)
            self.balancer.given_up(ticket)

    @rule(ticket=consumes(calls), wait_s=st.floats(0.1, 100.0) | st.just(math.inf))
    def be_too_soon(self, ticket: Ticket | None, wait_s: float) -> None:
        if ticket is not None:
            self.end(ticket)
            self.balancer.too_soon(ticket, wait_s)
            assert not (ticket.state.has_room(self.clock.monotonic()) and ticket.endpoint.name in self.up())

    @rule(name=st.sampled_from([one.name for one in ENDPOINTS]), alive=st.booleans())
    def probe(self, name: str, *, alive: bool) -> None:
        self.balancer.probed(name, alive=alive)

    @rule(seconds=st.floats(0.0, 2 * LONGEST_PAUSE_S))
    def wait(self, seconds: float) -> None:
        self.clock.move(seconds)

    @invariant()
    def no_limit_is_passed(self) -> None:
        for name, state in self.balancer.states.items():
            out = sum(ticket.endpoint.name == name for ticket in self.out)
            assert state.in_flight == out <= state.endpoint.max_concurrent
            assert 1 <= state.concurrency.limit <= state.endpoint.max_concurrent
            assert sum(ticket.trial for ticket in self.out if ticket.endpoint.name == name) <= 1

    @invariant()
    def nobody_is_away_for_ever(self) -> None:
        wait_s = self.balancer.waits_for()
        assert wait_s is not None
        trials = any(ticket.trial for ticket in self.out)
        assert trials or wait_s <= 300.0


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestBalancer = Machine.TestCase
