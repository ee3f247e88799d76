"""`/v1/tasks/{id}`: how far an answer has come, to poll, to wait for and to follow; and to call it off."""

import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse

from connectors.http import task_view
from connectors.http.access import Caller
from connectors.http.doors import Doors
from connectors.http.events import stream
from connectors.http.follow import Follower
from connectors.http.parts import Parts, Task
from connectors.http.problems import Problem
from connectors.keys import Scope

POLL_S: Final = 1
# How long somebody may wait for an answer with one request.
LONGEST_WAIT_S: Final = 60

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for its end")]


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/v1/tasks/{task_id}")
    follower = Follower(parts.desk, parts.bell)
    may_look, may_ask = doors.access.needs(Scope.ASK, Scope.READ), doors.access.needs(Scope.ASK)

    @router.get("")
    async def look(caller: Annotated[Caller, Depends(may_look)], task_id: UUID, wait: Wait = 0.0) -> Response:
        """Say how far a task has come; the `insight` is there once it has succeeded. It may be waited for."""
        kept = task_view.kept(await parts.results.find(str(task_id)), str(task_id))
        if kept is not None and caller.sees(kept.tenant):
            return JSONResponse(kept.view)
        task = await follower.ended(await _find(task_id, caller, parts), wait)
        return await _shown(task, parts)

    @router.get("/events", response_class=StreamingResponse)
    async def events(caller: Annotated[Caller, Depends(may_look)], task_id: UUID) -> StreamingResponse:
        """Follow a task: an event `task`, with all that GET says of it, each time that it changes, until it ends."""
        task = await _find(task_id, caller, parts)
        if follower.is_full:
            detail = "too many follow tasks at this gateway: ask for the task itself, again and again"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "busy", detail, retry_after_s=POLL_S)

        async def told() -> AsyncGenerator[tuple[str, str]]:
            async for changed in follower.changes(task):
                yield "task", json.dumps(task_view.told(changed))

        return stream(told())

    @router.delete("")
    async def cancel(caller: Annotated[Caller, Depends(may_ask)], task_id: UUID) -> Response:
        """Call a task off. What has an answer keeps it (409)."""
        task = await _find(task_id, caller, parts)
        if await parts.desk.cancel(str(task_id), parts.clock.now()):
            parts.bell.ring(str(task_id))
        task = await _find(task_id, caller, parts)
        if task.state != "cancelled":
            raise Problem(HTTPStatus.CONFLICT, "ended", f"the task has {task.state}", state=task.state)
        return await _shown(task, parts)

    return router


async def _find(task_id: UUID, caller: Caller, parts: Parts) -> Task:
    task = await parts.desk.find(str(task_id))
    if task is None or not caller.sees(task.tenant):
        raise Problem(HTTPStatus.NOT_FOUND, "unknown", "there is no such task")
    return task


async def _shown(task: Task, parts: Parts) -> Response:
    shown = JSONResponse(task_view.told(task))
    if task.state in task_view.ENDED:
        await parts.results.keep(task.request.id, task_view.Kept.of(task).model_dump_json().encode())
    else:
        shown.headers["Retry-After"] = str(POLL_S)
    return shown
