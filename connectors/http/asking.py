"""`POST /v1/tasks`: ask about a device. `POST /analyze/{device_id}` is the same for who knows nothing but the device.

A question goes to Kafka, never to a model: 202 means that it will be answered, whatever is down at the moment.
"""

import json
import logging
import re
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse

from connectors import tracing
from connectors.errors import ConnectorError, SlowDownError
from connectors.http import body, question, task_view
from connectors.http.access import Caller
from connectors.http.delivery import deliver
from connectors.http.devices import checked_name
from connectors.http.doors import Doors
from connectors.http.parts import Parts, Task
from connectors.http.problems import AWAY_S, BUSY_S, Problem
from connectors.http.question import Question
from connectors.keys import Scope
from schemas.codec import encode
from schemas.errors import PoisonError
from schemas.fields import deterministic_id
from schemas.models import AnalysisRequest

log = logging.getLogger(__name__)

MAX_METRICS: Final = 20
# What is asked where nothing is.
USUAL_QUESTION: Final = "Is anything unusual, and why?"

Key = Annotated[str | None, Header(alias="Idempotency-Key", description="the same key: the same task, asked once")]

_KEY: Final = re.compile(r"[!-~]{1,255}")


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Describe the body for OpenAPI, which cannot see it: the route reads bytes."""
    return {"requestBody": {"required": True, "content": {body.JSON: {"schema": schema}}}}


def _without_device(schema: dict[str, Any]) -> dict[str, Any]:
    fields = {name: field for name, field in schema["properties"].items() if name != "device_id"}
    return schema | {"properties": fields, "required": []}


_BODY: Final = _described(Question.model_json_schema(by_alias=True))
_SHORT: Final = _described(_without_device(Question.model_json_schema(by_alias=True)))


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the routes."""
    router = APIRouter()
    may_ask = doors.access.needs(Scope.ASK)

    @router.post("/v1/tasks", status_code=HTTPStatus.ACCEPTED, openapi_extra=_BODY)
    async def submit(http: Request, caller: Annotated[Caller, Depends(may_ask)], key: Key = None) -> JSONResponse:
        """Ask a question. 202: it is kept, and will be answered; `Location` is where."""
        body.require(http, {body.JSON})
        return await _submit(await body.read(http, parts.body_s), key, caller, parts, doors)

    @router.post("/analyze/{device_id}", status_code=HTTPStatus.ACCEPTED, openapi_extra=_SHORT)
    async def analyze(
        http: Request, caller: Annotated[Caller, Depends(may_ask)], device_id: str, key: Key = None
    ) -> JSONResponse:
        """Ask whether anything is unusual, or what `question` says. What the device has sent is known."""
        checked_name("device_id", device_id)
        body.require(http, {body.JSON})
        asked = _object(await body.read(http, parts.body_s))
        asked = {"question": USUAL_QUESTION, **asked, "device_id": device_id}
        return await _submit(json.dumps(asked).encode(), key, caller, parts, doors)

    return router


async def _submit(content: bytes, key: str | None, caller: Caller, parts: Parts, doors: Doors) -> JSONResponse:
    asked = _read(content)
    await doors.known(asked.device_id, caller)
    task_id = str(uuid4()) if key is None else _task_of(key, caller.tenant, parts.region)
    before = None if key is None else await _asked_before(asked, task_id, parts)
    if before is not None:
        return _accepted(task_id, task_view.state_of(before))
    request = await _request(asked, task_id, parts)
    await _hand_in(request.model_copy(update={"tenant": caller.tenant}), parts)
    return _accepted(task_id, "queued")


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "body: a JSON object, which may be empty")
    return found


def _task_of(key: str, tenant: str, region: str) -> str:
    """Give the task of a key: each region answers what it is asked itself, and no two of their answers have one id."""
    if not _KEY.fullmatch(key):
        raise Problem(HTTPStatus.BAD_REQUEST, "key", "Idempotency-Key: 1 to 255 letters of ASCII, without blanks")
    return deterministic_id("task", *([region] if region else []), tenant, key)


def _read(content: bytes) -> Question:
    try:
        return question.read(content)
    except PoisonError as error:
        raise _refused(error) from error


def _refused(error: PoisonError) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, error.detail)


async def _asked_before(asked: Question, task_id: str, parts: Parts) -> Task | None:
    """Give the task that a key stands for, if there is one.

    While nobody can say, there is none: should it have been asked already, the second record in Kafka has the same id,
    and is answered by the same insight.
    """
    try:
        task = await parts.desk.find(task_id)
    except ConnectorError as error:
        log.warning("nobody can say whether task %s was asked before: %s", task_id, error, extra={"task": task_id})
        return None
    if task is not None and not asked.was(task.request):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "key", "the Idempotency-Key was used for another question")
    return task


async def _request(asked: Question, task_id: str, parts: Parts) -> AnalysisRequest:
    metric = asked.metric or await _only_metric(asked.device_id, parts)
    try:
        return question.request(asked, metric, task_id=task_id, region=parts.region, now=parts.clock.now())
    except PoisonError as error:
        raise _refused(error) from error


async def _only_metric(device_id: str, parts: Parts) -> str:
    found = await parts.reader.metrics(device_id, limit=MAX_METRICS)
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown", "the device has no readings: name a metric to ask all the same")
    if len(found) > 1:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "metric", "the device has several metrics: name one", metrics=list(found)
        )
    return found[0]


async def _hand_in(request: AnalysisRequest, parts: Parts) -> None:
    record = (request.device_id.encode(), encode(request))
    try:
        producer = parts.prompt_producer or parts.producer
        with tracing.begin("http question", task=request.id, device=request.device_id) as it:
            await deliver(producer, parts.requests, [record], within_s=parts.acknowledge_s, headers=it.headers())
    except ConnectorError as error:
        raise _not_kept(error) from error
    try:
        await parts.desk.add(request, parts.clock.now())
    except ConnectorError as error:
        # Kafka has it, so it will be answered, and whoever answers makes the entry.
        about = {"task": request.id, "device": request.device_id}
        log.warning("task %s is not in the table yet: %s", request.id, error, extra=about)


def _not_kept(error: ConnectorError) -> Problem:
    log.warning("a question was not accepted: %s (%s)", error, error.__cause__)
    if isinstance(error, SlowDownError):
        detail = "the queue to Kafka is full: ask again after a pause"
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, "busy", detail, retry_after_s=BUSY_S)
    detail = "Kafka has not confirmed the question. Ask again."
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unconfirmed", detail, retry_after_s=AWAY_S)


def _accepted(task_id: str, state: str) -> JSONResponse:
    answer = {"task_id": task_id, "state": state}
    return JSONResponse(answer, HTTPStatus.ACCEPTED, {"Location": f"/v1/tasks/{task_id}"})
