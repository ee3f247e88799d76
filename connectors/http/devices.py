"""`GET /v1/devices` and `GET /v1/devices/{id}/readings`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from connectors.http.access import Caller
from connectors.http.doors import Doors
from connectors.http.parts import Device, Parts
from connectors.http.problems import Problem
from connectors.keys import Scope
from schemas.fields import NAME_LENGTH, is_name
from schemas.instants import from_text, to_text

MAX_DEVICES = 1_000
MAX_READINGS = 10_000
MAX_METRICS = 1_000
MAX_POINTS = 5_000

DeviceLimit = Annotated[int, Query(ge=1, le=MAX_DEVICES)]
Points = Annotated[int, Query(ge=10, le=MAX_POINTS)]
ReadingLimit = Annotated[int, Query(ge=1, le=MAX_READINGS)]
Since = Annotated[str | None, Query(alias="from", description="ISO 8601, inclusive")]
Until = Annotated[str | None, Query(alias="to", description="ISO 8601, exclusive")]


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/v1/devices")
    may_read = doors.access.needs(Scope.READ)

    @router.get("")
    async def devices(
        caller: Annotated[Caller, Depends(may_read)], limit: DeviceLimit = 100, after: str = "", prefix: str = ""
    ) -> JSONResponse:
        """List devices by id, those that begin with `prefix`. `next` is the `after` of the next page, or null."""
        for field, text in (("after", after), ("prefix", prefix)):
            if text:
                checked_name(field, text)
        found = await parts.reader.devices(tenant=caller.only, prefix=prefix, after=after, limit=limit + 1)
        page = found[:limit]
        following = page[-1].device_id if len(found) > limit else None
        return JSONResponse({"devices": [_device(device) for device in page], "next": following})

    @router.get("/{device_id}/readings")
    async def readings(
        caller: Annotated[Caller, Depends(may_read)],
        device_id: str,
        metric: str | None = None,
        since: Since = None,
        until: Until = None,
        limit: ReadingLimit = 1_000,
    ) -> JSONResponse:
        """Give the newest readings of a device, newest first; `truncated` says that there are older ones in the range.

        Those of one metric can be followed back: ask again with the last `ts` as `to`.
        """
        checked_name("device_id", device_id)
        if metric is not None:
            checked_name("metric", metric)
        await doors.known(device_id, caller)
        found = await parts.reader.readings(
            device_id, metric=metric, start=_moment("from", since), end=_moment("to", until), limit=limit + 1
        )
        page = [{"ts": to_text(row.ts), "metric": row.metric, "value": row.value} for row in found[:limit]]
        return JSONResponse({"device_id": device_id, "readings": page, "truncated": len(found) > limit})

    @router.get("/{device_id}/metrics")
    async def metrics(caller: Annotated[Caller, Depends(may_read)], device_id: str) -> JSONResponse:
        """List the metrics that a device has readings of."""
        checked_name("device_id", device_id)
        await doors.known(device_id, caller)
        found = await parts.reader.metrics(device_id, limit=MAX_METRICS)
        return JSONResponse({"device_id": device_id, "metrics": list(found)})

    @router.get("/{device_id}/series")
    async def series(
        caller: Annotated[Caller, Depends(may_read)],
        device_id: str,
        metric: str,
        since: Since = None,
        until: Until = None,
        points: Points = 1_000,
    ) -> JSONResponse:
        """Give one metric over time, oldest first: readings, or minutes, or hours, as fits into `points`.

        Without `from` it is the day before `to`, and without either the day before the last reading.
        """
        checked_name("device_id", device_id)
        checked_name("metric", metric)
        await doors.known(device_id, caller)
        start, end = _moment("from", since), _moment("to", until)
        found = await parts.reader.series(device_id, metric, start=start, end=end, points=points)
        told = [
            {"ts": to_text(one.ts), "mean": one.mean, "low": one.low, "high": one.high, "count": one.n}
            for one in found.points
        ]
        return JSONResponse({"device_id": device_id, "metric": metric, "resolution": found.resolution, "points": told})

    return router


def checked_name(field: str, name: str) -> None:
    """Refuse what can be no device id or metric.

    Raises:
        Problem: it breaks the rules for names.

    """
    if not is_name(name):
        detail = f"{field}: a name has 1 to {NAME_LENGTH} characters, no control characters, '/', '+' or '#'"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail)


def _moment(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return from_text(text)
    except ValueError as error:
        detail = f"{field}: {error} (in a URL, the + of an offset is written %2B)"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail) from error


def _device(device: Device) -> dict[str, object]:
    return {
        "device_id": device.device_id,
        "class": device.device_class,
        "units": dict(device.units),
        "tags": dict(device.tags),
        "first_seen": to_text(device.first_seen),
        "last_seen": to_text(device.last_seen),
    }
