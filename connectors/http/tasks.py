"""`POST /v1/tasks`: ask about a device. `GET /v1/tasks/{id}`: how far the answer has come.

A question goes to Kafka, never to a model: 202 means that it will be answered, whatever is down at the moment.
"""

import logging
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from connectors.errors import ConnectorError, SlowDownError
from connectors.http import body, question
from connectors.http.delivery import deliver
from connectors.http.parts import Parts, Task
from connectors.http.problems import AWAY_S, BUSY_S, Problem
from connectors.http.question import Question
from schemas.codec import encode
from schemas.errors import PoisonError
from schemas.instants import to_text
from schemas.models import AnalysisRequest

log = logging.getLogger(__name__)

# As the table has them.
WAITING: Final = "retrying"
OPEN: Final = frozenset({"queued", "running", WAITING})
POLL_S: Final = 1
MAX_METRICS: Final = 20

_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {body.JSON: {"schema": Question.model_json_schema(by_alias=True)}}}
}


def routes(parts: Parts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/v1/tasks")

    @router.post("", status_code=HTTPStatus.ACCEPTED, openapi_extra=_BODY)
    async def submit(http: Request) -> JSONResponse:
        """Ask a question. 202: it is kept, and will be answered; `Location` is where."""
        body.require(http, {body.JSON})
        request = await _request(await body.read(http, parts.body_s), parts)
        record = (request.device_id.encode(), encode(request))
        try:
            await deliver(parts.producer, parts.requests, [record], within_s=parts.acknowledge_s)
        except ConnectorError as error:
            raise _not_kept(error) from error
        try:
            await parts.desk.add(request, parts.clock.now())
        except ConnectorError as error:
            # Kafka has it, so it will be answered, and whoever answers makes the entry.
            log.warning("task %s is not in the table yet: %s", request.id, error)
        answer = {"task_id": request.id, "state": "queued"}
        return JSONResponse(answer, HTTPStatus.ACCEPTED, {"Location": f"/v1/tasks/{request.id}"})

    @router.get("/{task_id}")
    async def look(task_id: UUID) -> JSONResponse:
        """Say how far a task has come; the `insight` is there once it has succeeded."""
        task = await parts.desk.find(str(task_id))
        if task is None:
            raise Problem(HTTPStatus.NOT_FOUND, "unknown", "there is no such task")
        return JSONResponse(_told(task), headers={"Retry-After": str(POLL_S)} if task.state in OPEN else None)

    return router


async def _request(content: bytes, parts: Parts) -> AnalysisRequest:
    try:
        asked = question.read(content)
        metric = asked.metric or await _only_metric(asked.device_id, parts)
        return question.request(asked, metric, task_id=str(uuid4()), region=parts.region, now=parts.clock.now())
    except PoisonError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, error.detail) from error


async def _only_metric(device_id: str, parts: Parts) -> str:
    found = await parts.reader.metrics(device_id, limit=MAX_METRICS)
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown", "the device has no readings: name a metric to ask all the same")
    if len(found) > 1:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "metric", "the device has several metrics: name one", metrics=list(found)
        )
    return found[0]


def _not_kept(error: ConnectorError) -> Problem:
    log.warning("a question was not accepted: %s (%s)", error, error.__cause__)
    busy = isinstance(error, SlowDownError)
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy" if busy else "unconfirmed",
        "Kafka has not confirmed the question. Ask again.",
        retry_after_s=BUSY_S if busy else AWAY_S,
    )


def _told(task: Task) -> dict[str, object]:
    request, insight = task.request, task.insight
    due = {"due": to_text(task.due)} if task.state == WAITING else {}
    return {
        "task_id": request.id,
        "state": task.state,
        "device_id": request.device_id,
        "metric": request.metric,
        "question": request.question,
        "conversation_id": request.conversation,
        "from": to_text(request.window_start),
        "to": to_text(request.window_end),
        "attempts": task.attempts,
        **due,
        "created": to_text(task.created),
        "updated": to_text(task.updated),
        "insight": None if insight is None else insight.model_dump(mode="json"),
    }
