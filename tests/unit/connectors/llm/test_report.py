import pytest

from connectors.llm.pool import Pool
from connectors.llm.report import Condition, UnreadableReportError, read, report
from connectors.llm.settings import Endpoint
from tests.fakes.hand_clock import HandClock


async def test_a_report_says_how_each_endpoint_does() -> None:
    clock = HandClock()
    names = ("up", "busy", "resting", "failing")
    endpoints = [Endpoint(name=name, base_url="http://127.0.0.1:9/v1", max_concurrent=1) for name in names]
    async with Pool(endpoints, clock, timeout_s=1.0) as pool:
        balancer = pool.balancer

        def only(name: str) -> set[str]:
            return set(names) - {name}

        for _ in range(20):
            ticket = balancer.take(without=only("up"))
            assert ticket is not None
            clock.move(2.0)
            balancer.succeeded(ticket)
        assert balancer.take(without=only("busy"))
        resting, failing = balancer.take(without=only("resting")), balancer.take(without=only("failing"))
        assert resting is not None
        assert failing is not None
        balancer.too_soon(resting, 5.0)
        balancer.failed(failing, at_once=True)
        told = {one.name: one for one in read(report(pool, clock.monotonic()))}
    assert [told[name].condition for name in names] == list(Condition)
    assert (told["up"].p50_s, told["up"].in_flight, told["busy"].in_flight) == (2.0, 0, 1)
    assert told["busy"].p50_s is None
    assert [told[name].ejections for name in names] == [0, 0, 0, 1]


@pytest.mark.parametrize("note", [b"", b"[{}]", b"\xff", b'{"name": 1}', b"[[[[["])
def test_whatever_stands_on_the_board_is_read_or_refused(note: bytes) -> None:
    with pytest.raises(UnreadableReportError):
        read(note)
