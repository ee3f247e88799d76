"""One case of each promise; the property test tries all schedules."""

import asyncio
import time

import pytest

from streams.keyed import KeyedWork


class Work:
    """Keyed work whose items wait until they are told to end."""

    def __init__(self, in_flight: int = 10, waiting: int = 100) -> None:
        self.started: list[str] = []
        self.ends: dict[str, asyncio.Future[None]] = {}
        self.released: list[tuple[str, int]] = []
        self.keyed: KeyedWork[str, str] = KeyedWork(
            self.handle,
            lambda partition, offset: self.released.append((partition, offset)),
            in_flight=in_flight,
            waiting=waiting,
        )

    async def handle(self, item: str) -> None:
        self.started.append(item)
        self.ends[item] = asyncio.get_running_loop().create_future()
        await self.ends[item]

    async def submit(self, offset: int, key: bytes, item: str) -> bool:
        taken = await self.keyed.submit("p", offset, key, item)
        await turns()
        return taken

    async def end(self, item: str, error: Exception | None = None) -> None:
        if error is None:
            self.ends[item].set_result(None)
        else:
            self.ends[item].set_exception(error)
        await turns()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_keys_run_beside_each_other_and_a_key_in_order() -> None:
    work = Work()
    for offset, (key, item) in enumerate([(b"a", "a1"), (b"a", "a2"), (b"b", "b1")]):
        await work.submit(offset, key, item)

    assert work.started == ["a1", "b1"]
    await work.end("a1")
    assert work.started == ["a1", "b1", "a2"]


async def test_a_commit_never_passes_unfinished_work() -> None:
    work = Work()
    for offset, item in [(5, "x"), (6, "y"), (9, "z")]:
        await work.submit(offset, item.encode(), item)

    await work.end("y")
    await work.end("z")
    assert work.released == []
    await work.end("x")
    assert work.released == [("p", 10)]


async def test_a_failure_shows_and_holds_everything_after_it_back() -> None:
    work = Work()
    for offset, item in enumerate(["x", "y", "z"]):
        await work.submit(offset, item.encode(), item)

    await work.end("x")
    await work.end("y", OSError("no"))
    await work.end("z", ValueError("later"))

    assert isinstance(work.keyed.failure, OSError)
    assert work.released == [("p", 1)]


async def test_an_item_that_was_cancelled_by_someone_else_is_a_failure() -> None:
    work = Work()
    await work.submit(0, b"x", "x")

    work.ends["x"].cancel()
    await turns()

    assert isinstance(work.keyed.failure, asyncio.CancelledError)
    assert work.released == []


async def test_the_next_of_a_key_starts_after_one_that_failed() -> None:
    work = Work()
    await work.submit(0, b"a", "a1")
    await work.submit(1, b"a", "a2")

    await work.end("a1", OSError())

    assert work.started == ["a1", "a2"]


async def test_bounds() -> None:
    work = Work(in_flight=2, waiting=3)
    for offset, item in enumerate(["w", "x", "y"]):
        await work.submit(offset, item.encode(), item)
    assert work.started == ["w", "x"]

    fourth = asyncio.create_task(work.submit(3, b"z", "z"))
    await turns()
    assert not fourth.done()
    assert len(work.keyed) == 3

    await work.end("w")
    assert await fourth
    assert work.started == ["w", "x", "y"]


async def test_drop_ends_what_runs_and_what_waits_to_be_taken() -> None:
    work = Work(waiting=1)
    await work.submit(0, b"a", "a1")
    waiting = asyncio.create_task(work.submit(1, b"a", "a2"))
    await turns()

    await work.keyed.drop()

    assert await waiting is False
    assert work.ends["a1"].cancelled()
    assert (len(work.keyed), work.released, work.keyed.failure) == (0, [], None)


async def test_the_same_records_may_come_again_after_a_drop() -> None:
    work = Work()
    await work.submit(7, b"a", "before")
    await work.keyed.drop()

    assert await work.submit(7, b"a", "after")
    await work.end("after")

    assert work.released == [("p", 8)]


async def test_partitions_are_released_apart() -> None:
    work = Work()
    await work.keyed.submit("p", 0, b"a", "x")
    await work.keyed.submit("q", 0, b"b", "y")
    await turns()

    await work.end("y")

    assert work.released == [("q", 1)]


@pytest.mark.parametrize("busy", [True, False])
async def test_settling_takes_no_longer_than_it_may(busy: bool) -> None:  # noqa: FBT001  # a parameter
    work = Work()
    if busy:
        await work.submit(0, b"a", "x")

    started = time.monotonic()
    await work.keyed.settle(0.05)

    assert time.monotonic() - started < 5.0
    assert len(work.keyed) == int(busy), "settling ends nothing"
    await work.keyed.drop()


async def test_settling_ends_with_the_last_item() -> None:
    work = Work()
    await work.submit(0, b"a", "x")
    settling = asyncio.create_task(work.keyed.settle(60.0))
    await turns()
    assert not settling.done()

    await work.end("x")
    await asyncio.wait_for(settling, 5.0)

    assert work.released == [("p", 1)]
