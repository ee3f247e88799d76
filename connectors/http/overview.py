"""`GET /v1/overview`: how everything does. Whoever asks more often than it changes gets the last answer."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from connectors.http.access import Caller
from connectors.http.doors import Doors
from connectors.http.parts import Parts
from connectors.http.problems import Problem

FRESH_S: Final = 2.0


class _Lookout:
    """Looks once for all who ask at the same time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._one_at_a_time = asyncio.Lock()
        self._last: Mapping[str, object] = {}
        self._at: float | None = None

    async def look(self) -> Mapping[str, object]:
        if self._parts.overview is None:
            raise Problem(HTTPStatus.NOT_FOUND, "unknown", "this gateway cannot see everything")
        async with self._one_at_a_time:
            now = self._parts.clock.monotonic
            if self._at is None or now() - self._at > FRESH_S:
                self._last, self._at = await self._parts.overview(), now()
            return self._last


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/v1")
    may_see = doors.access.needs()
    lookout = _Lookout(parts)

    @router.get("/overview")
    async def overview(_caller: Annotated[Caller, Depends(may_see)]) -> JSONResponse:
        """Say what came in, how far the lanes are behind, who answered, what it cost, and how the models do."""
        return JSONResponse(await lookout.look())

    return router
