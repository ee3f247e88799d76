"""The gateway: what people and services talk to. Built here from parts; run by `serve`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from connectors.http import (
    asking,
    asyncapi,
    devices,
    export,
    feedback,
    health,
    insights,
    measured,
    overview,
    page,
    problems,
    readings,
    schemas,
    tasks,
)
from connectors.http.doors import Doors
from connectors.http.parts import Parts
from connectors.http.registry import RegistryError
from connectors.http.security import SecurityHeaders


def build(parts: Parts) -> FastAPI:
    """Make the application. It opens the reader when it starts and closes it when it ends; the producer is not its own.

    FastAPI's own pages of documentation load their scripts from elsewhere, so they are off; `/openapi.json` is there.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in (parts.reader, parts.desk, parts.keys):
                if part is not None:
                    stack.push_async_callback(part.close)
                    await part.open()
            for beside in parts.beside:
                await stack.enter_async_context(beside)
            yield

    doors = Doors.of(parts)
    app = FastAPI(title="Tidegate", docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)
    problems.install(app)
    app.add_exception_handler(RegistryError, schemas.explain)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(measured.Measured)
    for router in (
        page.routes(),
        health.routes(parts),
        measured.routes(doors),
        readings.routes(parts, doors),
        devices.routes(parts, doors),
        export.routes(parts, doors),
        insights.routes(parts, doors),
        feedback.routes(parts, doors),
        overview.routes(parts, doors),
        asking.routes(parts, doors),
        tasks.routes(parts, doors),
        schemas.routes(parts),
        asyncapi.routes(),
    ):
        app.include_router(router)
    return app
