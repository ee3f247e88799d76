"""`GET /healthz`: the process answers. `GET /readyz`: what it needs answers too, or which part does not and why."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from connectors.http.parts import Check, Parts
from schemas.errors import TidegateError

# Whoever asks more often gets the last answer: asking is cheap, checking is not.
FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class _Finding:
    parts: dict[str, dict[str, object]]
    at: float

    @property
    def ready(self) -> bool:
        return all(part["ok"] for part in self.parts.values())


class Readiness:
    """Runs the checks, all at once and one round at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._one_at_a_time = asyncio.Lock()
        self._last: _Finding | None = None

    async def look(self) -> _Finding:
        """Give a finding that is not older than `FRESH_S`."""
        async with self._one_at_a_time:
            now = self._parts.clock.monotonic
            if self._last is None or now() - self._last.at > FRESH_S:
                checks = self._parts.checks
                answers = await asyncio.gather(*(self._check(check) for check in checks.values()))
                self._last = _Finding(dict(zip(checks, answers, strict=True)), now())
            return self._last

    async def _check(self, check: Check) -> dict[str, object]:
        try:
            async with asyncio.timeout(self._parts.check_s):
                await check()
        except TimeoutError:
            return {"ok": False, "why": f"no answer within {self._parts.check_s:g} s"}
        except (TidegateError, OSError) as error:
            return {"ok": False, "why": str(error)}
        return {"ok": True}


def routes(parts: Parts) -> APIRouter:
    """Give the routes."""
    router = APIRouter()
    readiness = Readiness(parts)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        """Say that the process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Say whether every part answers; 503 where one does not."""
        finding = await readiness.look()
        status = HTTPStatus.OK if finding.ready else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"status": "ready" if finding.ready else "not ready", "parts": finding.parts}
        return JSONResponse(body, status)

    return router
