"""`GET /v1/insights`, in pages that stay right while new insights arrive."""

import re
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from connectors.http.devices import checked_name
from connectors.http.parts import Parts
from connectors.http.problems import Problem
from schemas.instants import from_micros, to_micros
from schemas.models import Insight

MAX_INSIGHTS = 500

Limit = Annotated[int, Query(ge=1, le=MAX_INSIGHTS)]
Before = Annotated[str | None, Query(description="the `next` of the page before")]

_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})_([0-9a-f]{32})")


def routes(parts: Parts) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/v1")

    @router.get("/insights")
    async def insights(device_id: str | None = None, limit: Limit = 50, before: Before = None) -> JSONResponse:
        """List insights, newest first. `next` is the `before` of the page behind this one, or null at the end."""
        if device_id is not None:
            checked_name("device_id", device_id)
        position = None if before is None else _position(before)
        found = await parts.reader.insights(device_id=device_id, before=position, limit=limit + 1)
        page = found[:limit]
        following = _cursor(page[-1]) if len(found) > limit else None
        return JSONResponse({"insights": [insight.model_dump(mode="json") for insight in page], "next": following})

    return router


def _cursor(insight: Insight) -> str:
    return f"{to_micros(insight.created)}_{UUID(insight.id).hex}"


def _position(cursor: str) -> tuple[datetime, UUID]:
    match = _CURSOR.fullmatch(cursor)
    try:
        if match is not None:
            return from_micros(int(match[1])), UUID(match[2])
    except OverflowError:
        pass
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "before: not the `next` of a page of this list")
