"""`GET /v1/insights`, in pages that stay right while new insights arrive."""

import re
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from connectors.http.access import Caller
from connectors.http.doors import Doors
from connectors.http.parts import Parts
from connectors.http.problems import Problem
from connectors.keys import Scope
from schemas.fields import Name, Severity, Source, Storable
from schemas.instants import from_micros, to_micros
from schemas.models import Insight

MAX_INSIGHTS = 500

_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})_([0-9a-f]{32})")


class Only(BaseModel):
    """Which insights are wanted, and which page of them."""

    model_config = ConfigDict(extra="forbid")

    device_id: Name | None = None
    metric: Name | None = None
    kind: Storable | None = None
    severity: Severity | None = None
    source: Source | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_INSIGHTS)] = 50
    before: Annotated[str | None, Field(description="the `next` of the page before")] = None

    def chosen(self) -> dict[str, str]:
        """Give the values that are wanted."""
        values = self.model_dump(mode="json", exclude_none=True, exclude={"limit", "before"})
        return {name: str(value) for name, value in values.items()}


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/v1")
    may_read = doors.access.needs(Scope.READ)

    @router.get("/insights")
    async def insights(
        caller: Annotated[Caller, Depends(may_read)],
        only: Annotated[Only, Query()],
    ) -> JSONResponse:
        """List insights, newest first. `next` is the `before` of the page behind this one, or null at the end."""
        limit = only.limit
        position = None if only.before is None else _position(only.before)
        found = await parts.reader.insights(tenant=caller.only, only=only.chosen(), before=position, limit=limit + 1)
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
