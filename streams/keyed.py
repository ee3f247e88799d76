"""Many keys at once, each in order, and commits that never pass unfinished work.

What Confluent's parallel consumer does for Java: records of different keys are worked on together, records of one key
one after the other, and a partition's committed offset moves only over a gapless run of finished records. A slow record
delays its own key and holds back the commit, nothing else.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Partition = TypeVar("Partition", bound=Hashable)


class KeyedWork(Generic[Partition, Item]):
    """Work on records of many partitions and keys; for one event loop."""

    def __init__(
        self,
        handle: Callable[[Item], Awaitable[None]],
        release: Callable[[Partition, int], None],
        *,
        in_flight: int,
        waiting: int,
    ) -> None:
        """Take what is done with an item, and who hears that everything below an offset is finished.

        At most `in_flight` items are worked on at once, and at most `waiting` are held in memory.
        """
        self._handle = handle
        self._release = release
        self._slots = asyncio.Semaphore(in_flight)
        self._most_waiting = waiting
        self._room = asyncio.Condition()
        self._tasks: dict[asyncio.Task[None], Partition] = {}
        self._last: dict[bytes, asyncio.Task[None]] = {}
        self._unfinished: dict[Partition, dict[int, bool]] = {}
        self._life = 0
        self._drops = 0
        self.failure: BaseException | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    async def submit(self, partition: Partition, offset: int, key: bytes, item: Item) -> bool:
        """Take an item up as soon as there is room; offsets of a partition come in rising order.

        Gives False when everything was dropped meanwhile: then this item was, too.
        """
        life = self._life
        async with self._room:
            await self._room.wait_for(lambda: life != self._life or self._has_room())
        if life != self._life:
            return False
        self._unfinished.setdefault(partition, {})[offset] = False
        task = asyncio.create_task(self._work(self._last.get(key), item))
        self._tasks[task] = partition
        self._last[key] = task
        task.add_done_callback(lambda done: self._done(done, life, offset, key))
        return True

    def _has_room(self) -> bool:
        """While work is being dropped nothing new starts: it could be of a key that is still being cleaned up."""
        return not self._drops and len(self._tasks) < self._most_waiting

    async def drop(self) -> None:
        """Stop all work and forget it: nothing of it is released any more."""
        self._life += 1
        self._drops += 1
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._last.clear()
        self._unfinished.clear()
        try:
            # Who waits for room hears of it now; those of the new life go on waiting until the old one has ended.
            await self._notify()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._drops -= 1
            await self._notify()

    async def settle(self, timeout_s: float) -> None:
        """Give work at hand some time to finish."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)

    async def _work(self, before: "asyncio.Task[None] | None", item: Item) -> None:
        if before is not None:
            await asyncio.wait([before])
        async with self._slots:
            await self._handle(item)

    def _done(self, task: "asyncio.Task[None]", life: int, offset: int, key: bytes) -> None:
        partition = self._tasks.pop(task)
        if self._last.get(key) is task:
            del self._last[key]
        self._wake = asyncio.ensure_future(self._notify())  # kept, or the loop may forget it
        if life != self._life:
            return
        # Cancelled without a drop is a failure, too: its offset would hold everything back and nobody would know.
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is not None:
            self.failure = self.failure or failure
            return
        unfinished = self._unfinished[partition]
        unfinished[offset] = True
        finished = list(itertools.takewhile(unfinished.__getitem__, unfinished))
        for first in finished:
            del unfinished[first]
        if finished:
            self._release(partition, finished[-1] + 1)

    async def _notify(self) -> None:
        async with self._room:
            self._room.notify_all()
