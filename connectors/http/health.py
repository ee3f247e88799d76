"""`GET /healthz`: the process answers. `GET /readyz`: what it needs answers too, or which part does not and why.

`GET /readyz/ingest` is about what it takes to accept readings alone: who has lost the database goes on doing that.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from connectors.http.parts import Check, Parts
from schemas.errors import TidegateError

# Whoever asks more often gets the last answer: asking is cheap, checking is not.
FRESH_S = 1.0


# What it takes to accept readings.
INGEST = frozenset({"kafka"})


@dataclass(frozen=True, slots=True)
class _Finding:
    parts: dict[str, dict[str, object]]
    at: float

    def answer(self) -> JSONResponse:
        ready = all(part["ok"] for part in self.parts.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"status": "ready" if ready else "not ready", "parts": self.parts}, status)


class Readiness:
    """Runs checks, all at once and one round at a time: who waits for one waits for all of them."""

    def __init__(self, parts: Parts, wanted: Collection[str]) -> None:
        self._parts = parts
        self._checks = {name: check for name, check in parts.checks.items() if name in wanted}
        self._one_at_a_time = asyncio.Lock()
        self._last: _Finding | None = None

    async def look(self) -> _Finding:
        """Give a finding that is not older than `FRESH_S`."""
        async with self._one_at_a_time:
            now = self._parts.clock.monotonic
            if self._last is None or now() - self._last.at > FRESH_S:
                checks = self._checks
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
    readiness, ingest = Readiness(parts, parts.checks), Readiness(parts, INGEST)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        """Say that the process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Say whether every part answers; 503 where one does not."""
        return (await readiness.look()).answer()

    @router.get("/readyz/ingest")
    async def readyz_ingest() -> JSONResponse:
        """Say whether readings are accepted; 503 where they are not."""
        return (await ingest.look()).answer()

    return router
