"""Many callers, one worker thread: while it works, those who come gather, and go together at its next turn."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathering(Generic[Item, Result]):
    """Does one thing for many at once; for one event loop."""

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], thread: Executor) -> None:
        """Take what is done with items on `thread`: it gives a result for each, in their order."""
        self._work = work
        self._thread = thread
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._turns: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """Have it done; raises what the work raised."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._turns is None:
            self._turns = asyncio.get_running_loop().create_task(self._take_turns())
        return await done

    async def _take_turns(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                await self._turn([(item, done) for item, done in taken if not done.done()])
        finally:
            self._turns = None

    async def _turn(self, taken: "Sequence[tuple[Item, asyncio.Future[Result]]]") -> None:
        if not taken:
            return
        items = [item for item, _ in taken]
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._work, items)
        except Exception as error:  # noqa: BLE001  # it is raised where the work was asked for
            for _, done in taken:
                if not done.done():
                    done.set_exception(error)
            return
        for (_, done), result in zip(taken, results, strict=True):
            if not done.done():
                done.set_result(result)
