"""`GET /v1/devices/{id}/export`: all that is stored of a device. `DELETE /v1/devices/{id}`: it is stored no longer."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, StreamingResponse

from connectors.http.access import Caller
from connectors.http.devices import checked_name
from connectors.http.doors import Doors
from connectors.http.parts import Parts
from connectors.http.problems import Problem
from connectors.keys import Scope
from schemas.instants import to_text

PAGE: Final = 5_000
INSIGHTS: Final = 500
MAX_METRICS: Final = 10_000


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/v1/devices/{device_id}")
    may_read, may_erase = doors.access.needs(Scope.READ), doors.access.needs()

    @router.get("/export", response_class=StreamingResponse)
    async def export(caller: Annotated[Caller, Depends(may_read)], device_id: str) -> StreamingResponse:
        """Give all readings and insights of a device as NDJSON, a line each, with its `kind`; the newest first."""
        checked_name("device_id", device_id)
        await doors.known(device_id, caller)
        # Found before the first byte is sent: after it nothing can be refused.
        metrics = await parts.reader.metrics(device_id, limit=MAX_METRICS)
        headers = {"Content-Disposition": "attachment; filename=export.ndjson"}
        return StreamingResponse(_lines(parts, device_id, metrics), media_type="application/x-ndjson", headers=headers)

    @router.delete("")
    async def erase(caller: Annotated[Caller, Depends(may_erase)], device_id: str) -> JSONResponse:
        """Delete a device's readings, insights and tasks; who did it is kept. Kafka's records expire."""
        checked_name("device_id", device_id)
        if parts.erase is None:
            raise Problem(HTTPStatus.NOT_FOUND, "unknown", "this gateway cannot erase anything")
        deleted = await parts.erase(device_id, caller.key_id or "anyone")
        return JSONResponse({"device_id": device_id, "deleted": dict(deleted)})

    return router


async def _lines(parts: Parts, device_id: str, metrics: Sequence[str]) -> AsyncIterator[bytes]:
    for metric in metrics:
        end: datetime | None = None
        while page := await parts.reader.readings(device_id, metric=metric, start=None, end=end, limit=PAGE):
            yield b"".join(
                _line({"kind": "reading", "ts": to_text(one.ts), "metric": metric, "value": one.value}) for one in page
            )
            end = page[-1].ts
    before = None
    while found := await parts.reader.insights(
        tenant=None, only={"device_id": device_id}, before=before, limit=INSIGHTS
    ):
        yield b"".join(_line({"kind": "insight", **one.model_dump(mode="json")}) for one in found)
        before = (found[-1].created, UUID(found[-1].id))


def _line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
