"""Following a task: what it has come to, each time that it changes, until it ends."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from connectors import metrics
from connectors.errors import ConnectorError
from connectors.http.parts import Bell, Desk, Task
from connectors.http.task_view import ENDED

# How often a task is looked at: while somebody says when to, and while nobody does.
SELDOM_S: Final = 10.0
OFTEN_S: Final = 1.0
# Each who follows or waits costs a connection, and a look at the database now and then.
MOST: Final = 1000


class Follower:
    """Looks at tasks for who waits; for one event loop."""

    def __init__(self, desk: Desk, bell: Bell) -> None:
        """Nothing is looked at yet."""
        self._desk = desk
        self._bell = bell
        self._following = 0

    @property
    def is_full(self) -> bool:
        """Whether so many follow tasks that nobody else can; they have to ask again and again."""
        return self._following >= MOST

    async def ended(self, task: Task, within_s: float) -> Task:
        """Give the task when it has ended, or as it is after so many seconds; at once where too many wait."""
        if self.is_full:
            return task
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                async for changed in self.changes(task):
                    task = changed
        return task

    async def changes(self, task: Task) -> AsyncGenerator[Task]:
        """Give the task as it is, and each time that it has changed, to its end. While it cannot be looked at, wait."""
        with self._counted(), self._bell.hear(task.request.id) as rung:
            yield task
            while task.state not in ENDED:
                with suppress(TimeoutError):
                    async with asyncio.timeout(SELDOM_S if self._bell.works else OFTEN_S):
                        await rung.wait()
                rung.clear()
                now = await self._look(task)
                if _marks(now) != _marks(task):
                    task = now
                    yield task

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._following += 1
        metrics.HTTP_FOLLOWING.set(self._following)
        try:
            yield
        finally:
            self._following -= 1
            metrics.HTTP_FOLLOWING.set(self._following)

    async def _look(self, task: Task) -> Task:
        try:
            return await self._desk.find(task.request.id) or task
        except ConnectorError:
            return task


def _marks(task: Task) -> tuple[object, ...]:
    return task.state, task.attempts, task.updated, task.insight is None
