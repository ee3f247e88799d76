"""Two calls that ask the same thing: the first answer counts."""

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def first_answer(first: "asyncio.Task[T]", second: "asyncio.Task[T]") -> T:
    """Give the answer of whichever has one first; raise what the last one raised if neither has."""
    waiting = {first, second}
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answered = [task for task in done if task.exception() is None]
        if answered or not waiting:
            return (answered or list(done))[0].result()


async def end(*tasks: "asyncio.Task[T] | None") -> None:
    """Cancel what still runs, and see all of it end, whatever came of it."""
    made = [task for task in tasks if task is not None]
    running = [task for task in made if task.cancel()]
    if running:  # waiting for those that have ended costs a turn of the event loop
        await asyncio.wait(running)
    for task in made:
        if not task.cancelled():
            task.exception()  # or it would be said that nobody looked at it
