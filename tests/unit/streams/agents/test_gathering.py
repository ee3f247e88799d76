"""While the thread works, those who come gather; each gets its own result, or the error."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from streams.agents.gathering import Gathering


class Work:
    """Doubles numbers when it may; refuses a negative one."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.turns: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.turns.append(list(items))
        assert self.may.wait(10)
        if min(items) < 0:
            raise ValueError("negative")
        return [2 * item for item in items]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0.001)


async def test_those_who_come_meanwhile_go_together() -> None:
    work = Work()
    with ThreadPoolExecutor(1) as thread:
        gathering = Gathering(work, thread)
        first = asyncio.ensure_future(gathering.do(1))
        await settle()
        others = [asyncio.ensure_future(gathering.do(item)) for item in (2, 3, 4)]
        await settle()
        work.may.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
        assert work.turns == [[1], [2, 3, 4]]
        assert await gathering.do(5) == 10


async def test_an_error_is_that_of_all_who_went_together_and_of_nobody_else() -> None:
    work = Work()
    with ThreadPoolExecutor(1) as thread:
        gathering = Gathering(work, thread)
        first = asyncio.ensure_future(gathering.do(1))
        await settle()
        others = [asyncio.ensure_future(gathering.do(item)) for item in (-2, 3)]
        await settle()
        work.may.set()
        assert await first == 2
        found = await asyncio.gather(*others, return_exceptions=True)
        assert [type(one) for one in found] == [ValueError] * 2
        assert await gathering.do(3) == 6


async def test_who_has_given_up_is_left_out() -> None:
    work = Work()
    with ThreadPoolExecutor(1) as thread:
        gathering = Gathering(work, thread)
        first = asyncio.ensure_future(gathering.do(1))
        await settle()
        second, third = (asyncio.ensure_future(gathering.do(item)) for item in (2, 3))
        await settle()
        first.cancel()
        second.cancel()
        await settle()
        work.may.set()
        assert await third == 6
        assert work.turns == [[1], [3]]
        with pytest.raises(asyncio.CancelledError):
            await second
