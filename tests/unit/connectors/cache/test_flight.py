import asyncio

import pytest

from connectors.cache.flight import Flights


class Work:
    """Counts how often it is begun, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.done)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def soon(flights: Flights[str], work: Work, times: int = 1) -> list["asyncio.Task[tuple[str, bool]]"]:
    tasks = [asyncio.create_task(flights.join("a", work)) for _ in range(times)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_one_works_for_all_and_only_the_first_is_told_so() -> None:
    flights: Flights[str] = Flights()
    work = Work()
    tasks = await soon(flights, work, 100)
    work.done.set_result("found")
    assert await asyncio.gather(*tasks) == [("found", True)] + [("found", False)] * 99
    assert work.begun == 1
    assert len(flights) == 0


async def test_what_is_over_is_begun_again() -> None:
    flights: Flights[str] = Flights()
    work = Work()
    work.done.set_result("found")
    assert [await flights.join("a", work) for _ in range(2)] == [("found", True)] * 2
    assert work.begun == 2


async def test_an_error_reaches_all() -> None:
    flights: Flights[str] = Flights()
    work = Work()
    tasks = await soon(flights, work, 3)
    work.done.set_exception(OSError("away"))
    assert [str(one) for one in await asyncio.gather(*tasks, return_exceptions=True)] == ["away"] * 3
    assert len(flights) == 0


async def test_who_gives_up_does_not_end_the_work_of_others() -> None:
    flights: Flights[str] = Flights()
    work = Work()
    first, second = await soon(flights, work, 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.done.set_result("found")
    assert await second == ("found", False)
    assert work.begun == 1


async def test_when_all_give_up_the_work_ends_and_who_comes_then_begins_it_anew() -> None:
    flights: Flights[str] = Flights()
    work = Work()
    tasks = await soon(flights, work, 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    (again,) = await soon(flights, work)
    work.done.set_result("found")
    assert await again == ("found", True)
    assert (work.begun, work.cancelled) == (2, 1)
