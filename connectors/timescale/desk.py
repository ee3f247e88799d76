"""Where people's tasks are handed in and asked about: the table `tasks`, as the gateway uses it."""

from dataclasses import dataclass
from datetime import datetime

from connectors.timescale import tasks
from connectors.timescale.pool import Pool
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings
from schemas.codec import decode
from schemas.models import AnalysisRequest, Insight

CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task, and its insight once there is one."""

    request: AnalysisRequest
    tenant: str
    state: str
    attempts: int
    due: datetime
    created: datetime
    started: datetime | None
    updated: datetime
    error: str | None
    insight: Insight | None


class Desk:
    """One database, for many tasks of one event loop at once. Its methods raise what `Pool.run` does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet."""
        self._pool = Pool(settings, "desk", size=CONNECTIONS, read_only=False)

    async def open(self) -> None:
        """Begin to connect, without waiting for it."""
        await self._pool.open()

    async def close(self) -> None:
        """End the connections."""
        await self._pool.close()

    async def add(self, request: AnalysisRequest, at: datetime) -> None:
        """Add a task that waits; one that is there already stays as it is."""
        await self._pool.run(query("add_task"), tasks.row(request, at))

    async def find(self, task_id: str) -> TaskRow | None:
        """Give a task."""
        found = await self._pool.run(query("find_task"), {"id": task_id})
        if not found:
            return None
        (row,) = found
        insight = None
        if row["insight"] is not None:
            told = await self._pool.run(query("standing_insights"), {"ids": [row["insight"]]})
            insight = next((Insight.model_validate(one.pop("detail") | one) for one in told), None)
        return TaskRow(
            request=decode(row["request"], AnalysisRequest),
            tenant=row["tenant"],
            state=row["state"],
            attempts=row["attempts"],
            due=row["due_at"],
            created=row["created"],
            started=row["started"],
            updated=row["updated"],
            error=row["error"],
            insight=insight,
        )

    async def cancel(self, task_id: str, at: datetime) -> bool:
        """End a task that has not ended; say whether it was so."""
        return bool(await self._pool.run(query("cancel_task"), {"id": task_id, "at": at}))
