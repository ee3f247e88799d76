"""`POST /v1/readings`: accepted means that Kafka has it."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from connectors import metrics, tracing
from connectors.errors import ConnectorError, SlowDownError
from connectors.http import body, payload
from connectors.http.access import Caller
from connectors.http.delivery import deliver
from connectors.http.doors import Doors
from connectors.http.parts import Parts
from connectors.http.problems import AWAY_S, BUSY_S, Problem
from connectors.keys import Scope
from schemas.errors import PoisonError
from schemas.models import Reading

log = logging.getLogger(__name__)

KINDS = frozenset({body.JSON, "application/x-ndjson", "application/ndjson", "application/jsonl"})


# What is longer is read in a thread, or nobody else would be answered meanwhile.
LONG: Final = 32 * 1024


class Pressure:
    """Counts the readings that Kafka has not confirmed yet; for one event loop."""

    def __init__(self, most: int) -> None:
        """There may be so many; and one request more, when there is none."""
        self._most = most
        self._count = 0

    @contextmanager
    def of(self, readings: int) -> Iterator[None]:
        """Count them as long as the block goes on.

        Raises:
            Problem: there are too many.

        """
        if self._count and self._count + readings > self._most:
            raise _busy("too many readings wait for Kafka")
        self._count += readings
        try:
            yield
        finally:
            self._count -= readings


def _described() -> dict[str, Any]:
    """Describe the body for OpenAPI, which cannot see it: the route reads bytes."""
    one = Reading.model_json_schema()
    one["required"] = ["device_id", "metrics"]
    one["properties"]["ts"] = {
        "type": ["string", "number"],
        "description": "ISO 8601, UTC without an offset; or since 1970",
    }
    several = {"type": "array", "items": one, "maxItems": payload.MAX_ITEMS}
    return {
        "requestBody": {
            "required": True,
            "content": {
                body.JSON: {"schema": {"anyOf": [one, several]}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        }
    }


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/v1")
    pressure = Pressure(parts.most_in_flight)
    may_write = doors.access.needs(Scope.INGEST)

    @router.post("/readings", status_code=HTTPStatus.ACCEPTED, openapi_extra=_described())
    async def accept(request: Request, caller: Annotated[Caller, Depends(may_write)]) -> JSONResponse:
        """Take one reading, a list, or NDJSON. 202: all are kept. 207: those not listed in `rejected` are kept."""
        lines = body.require(request, KINDS) != body.JSON
        content = await _content(await body.read(request, parts.body_s), parts, lines=lines)
        others = await doors.owners.others({key.decode() for key, _ in content.records}, caller)
        if others:
            content = content.without(others)
        rejected = [rejection.body() for rejection in content.rejected]
        metrics.HTTP_READINGS.labels("refused").inc(len(rejected))
        if not content.records:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid",
                "none of the readings can be used",
                accepted=0,
                rejected=rejected,
            )
        try:
            with pressure.of(len(content.records)), tracing.begin("http readings", readings=len(content.records)) as it:
                records, within_s = content.records, parts.acknowledge_s
                await deliver(parts.producer, parts.topic, records, within_s=within_s, headers=it.headers())
        except ConnectorError as error:
            raise _not_kept(error) from error
        metrics.HTTP_READINGS.labels("accepted").inc(len(content.records))
        answer: dict[str, object] = {"accepted": len(content.records)}
        if not rejected:
            return JSONResponse(answer, HTTPStatus.ACCEPTED)
        return JSONResponse({**answer, "rejected": rejected}, HTTPStatus.MULTI_STATUS)

    return router


def _busy(why: str) -> Problem:
    detail = f"{why}: send them again after a pause; those with a ts are not stored twice"
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "busy", detail, retry_after_s=BUSY_S)


def _not_kept(error: ConnectorError) -> Problem:
    log.warning("readings were not accepted: %s (%s)", error, error.__cause__)
    if isinstance(error, SlowDownError):
        return _busy("the queue to Kafka is full")
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unconfirmed",
        "Kafka has not confirmed the readings, and may have some. Send them all again: those with a ts are not stored"
        " twice.",
        retry_after_s=AWAY_S,
    )


async def _content(text: bytes, parts: Parts, *, lines: bool) -> payload.Content:
    read = partial(payload.read, text, lines=lines, arrived=parts.clock.now())
    try:
        return read() if len(text) <= LONG else await asyncio.to_thread(read)
    except payload.TooManyError as error:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.reason, error.detail) from error
    except PoisonError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, error.reason, error.detail) from error
