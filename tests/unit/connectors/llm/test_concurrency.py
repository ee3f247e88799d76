import pytest

from connectors.llm.concurrency import Concurrency


def test_what_is_too_many_halves_it_once_for_all_calls_that_were_out() -> None:
    limit = Concurrency(16)
    for _ in range(16):
        limit.too_many(began=0.0, now=1.0)
    assert limit.limit == 8
    limit.too_many(began=1.5, now=2.0)
    assert limit.limit == 4


def test_it_never_falls_below_one() -> None:
    limit = Concurrency(4)
    for second in range(10):
        limit.too_many(began=second + 0.5, now=second + 1.0)
    assert limit.limit == 1


def test_it_grows_by_one_for_each_round_in_which_all_was_used() -> None:
    limit = Concurrency(16)
    limit.too_many(began=0.0, now=1.0)
    for _ in range(9):
        limit.succeeded(2.0, 3.0, in_flight=8)
    assert limit.limit == 9
    for _ in range(1000):
        limit.succeeded(2.0, 3.0, in_flight=16)
    assert limit.limit == 16


def test_it_does_not_grow_while_there_is_room() -> None:
    limit = Concurrency(16)
    limit.too_many(began=0.0, now=1.0)
    for _ in range(100):
        limit.succeeded(2.0, 3.0, in_flight=3)
    assert limit.limit == 8


@pytest.mark.parametrize(("latency", "shrinks"), [(1.0, False), (2.0, False), (20.0, True)])
def test_calls_that_become_far_slower_than_usual_make_it_smaller(latency: float, *, shrinks: bool) -> None:
    limit, now = Concurrency(16), 0.0
    for _ in range(200):
        limit.succeeded(now, now + 1.0, in_flight=4)
        now += 1.0
    for _ in range(30):
        limit.succeeded(now, now + latency, in_flight=4)
        now += latency
    assert (limit.limit < 16) is shrinks
