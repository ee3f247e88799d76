"""What the gateway tells Prometheus: `GET /metrics`, and the counting of what it answers."""

import time
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from connectors import metrics
from connectors.http.access import Caller
from connectors.http.doors import Doors
from connectors.keys import Scope

# Whatever is asked for that is no route of ours is one of these: callers must not make labels.
NO_ROUTE: Final = "none"
METHODS: Final = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS"})


class Measured:
    """Counts requests, and how long it takes until their answers begin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        is_counted = False

        def count(status: int) -> None:
            nonlocal is_counted
            is_counted = True
            # The router leaves the route that it found in the scope.
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            method = scope["method"] if scope["method"] in METHODS else "other"
            metrics.HTTP_REQUESTS.labels(route, method, str(int(status))).inc()
            metrics.HTTP_SECONDS.labels(route).observe(time.perf_counter() - began)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            # What nobody foresaw is answered further out than anything that can be added.
            if not is_counted:
                count(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise


def routes(doors: Doors) -> APIRouter:
    """Give the route. What it tells is of all tenants, so it takes a key of its own scope."""
    router = APIRouter()
    may_measure = doors.access.needs(Scope.METRICS)

    @router.get("/metrics", response_class=Response)
    async def tell(_: Annotated[Caller, Depends(may_measure)]) -> Response:
        """Tell Prometheus how the gateway does."""
        text, kind = metrics.text()
        return Response(text, media_type=kind)

    return router
