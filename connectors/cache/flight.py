"""Many want the same: one asks, in this process; the others wait for what it finds."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: "asyncio.Task[T]"
    waiting: int = 0


class Flights(Generic[T]):
    """What is being asked now, by digest; for one event loop."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self._flights: dict[str, _Flight[T]] = {}

    async def join(self, digest: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Give what `work` gives, and whether it was this caller's: that of whoever came first is done, for all.

        Who gives up waiting ends the work only if nobody else waits for it. What it raises, all get.
        """
        flight = self._flights.get(digest)
        is_first = flight is None
        if flight is None:
            flight = _Flight(asyncio.get_running_loop().create_task(_awaited(work)))
            self._flights[digest] = flight
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task), is_first
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()  # which does nothing to what is done
            if self._flights.get(digest) is flight and (flight.task.done() or not flight.waiting):
                # Nobody may join what was given up.
                del self._flights[digest]

    def __len__(self) -> int:
        return len(self._flights)


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
