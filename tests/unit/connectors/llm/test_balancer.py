"""What the state machine of `tests/property` does not say: how much failures cost."""

import pytest

from connectors.llm.balancer import Balancer
from connectors.llm.breaker import FAILURES, FIRST_PAUSE_S
from connectors.llm.settings import Endpoint
from tests.fakes.hand_clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def balancer(clock: HandClock) -> Balancer:
    return Balancer([Endpoint(name="one", max_concurrent=64)], clock)


def call(balancer: Balancer, clock: HandClock, *, fails: bool) -> None:
    ticket = balancer.take()
    assert ticket is not None
    clock.move(1.0)
    if fails:
        balancer.failed(ticket)
    else:
        balancer.succeeded(ticket)


def test_a_failure_now_and_then_costs_no_calls(balancer: Balancer, clock: HandClock) -> None:
    for _ in range(50):
        call(balancer, clock, fails=True)
        call(balancer, clock, fails=False)
    assert balancer.states["one"].concurrency.limit == 64


def test_who_comes_back_is_not_met_by_all_at_once(balancer: Balancer, clock: HandClock) -> None:
    for _ in range(FAILURES):
        call(balancer, clock, fails=True)
    assert balancer.take() is None
    clock.move(FIRST_PAUSE_S)
    call(balancer, clock, fails=False)
    assert balancer.states["one"].concurrency.limit == 32
