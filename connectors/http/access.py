"""Who asks, and whether they may: keys, their scopes, their tenants and their limits.

A key is looked up in the database and remembered for `FRESH_S`, so a revoked one opens nothing after that. While the
database is away the keys that are remembered go on opening for `STALE_S`: what is accepted needs Kafka alone.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from cachetools import LRUCache
from fastapi import Request

from connectors import keys
from connectors.clock import Clock
from connectors.errors import ConnectorError
from connectors.http.parts import KeyRing
from connectors.http.problems import Problem
from connectors.keys import ApiKey, Scope

FRESH_S: Final = 10.0
STALE_S: Final = 600.0
MOST_REMEMBERED: Final = 10_000
# A key that has asked for nothing may ask for so many of its requests a minute at once.
BURST: Final = 1 / 6
LEAST_BURST: Final = 5.0
HEADER: Final = "X-API-Key"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Without keys it is anyone, who may do everything."""

    key_id: str
    tenant: str
    scopes: frozenset[Scope]

    @property
    def sees_all(self) -> bool:
        """Whether the caller is bound to no tenant."""
        return Scope.ADMIN in self.scopes

    @property
    def only(self) -> str | None:
        """The tenant whose things alone may be seen; None: everyone's."""
        return None if self.sees_all else self.tenant

    def sees(self, tenant: str) -> bool:
        """Say whether a tenant's things may be seen."""
        return self.sees_all or tenant == self.tenant


ANYONE: Final = Caller("", "", frozenset({Scope.ADMIN}))

Needs = Callable[[Request], Awaitable[Caller]]


class Access:
    """Knows keys; for one event loop."""

    def __init__(self, ring: KeyRing | None, clock: Clock) -> None:
        """Remember nothing yet. Without a ring nobody is asked for a key."""
        self._ring = ring
        self._clock = clock
        self._remembered: LRUCache[str, tuple[ApiKey | None, float]] = LRUCache(MOST_REMEMBERED)
        self._spent: LRUCache[str, tuple[float, float]] = LRUCache(MOST_REMEMBERED)

    def needs(self, *scopes: Scope) -> Needs:
        """Give what a route depends on for its caller, who must have one of these scopes.

        It raises `Problem`: 401 without a good key, 403 without a scope, 429 with `Retry-After` above the key's limit.
        """
        allowed = {*scopes, Scope.ADMIN}

        async def caller(request: Request) -> Caller:
            if self._ring is None:
                return ANYONE
            key = await self._key(self._ring, request)
            self._count(key)
            if not allowed & key.scopes:
                needed = " or ".join(sorted(scopes) or [Scope.ADMIN])
                raise Problem(HTTPStatus.FORBIDDEN, "scope", f"this key may not do that: it needs the scope {needed}")
            return Caller(key.id, key.tenant, key.scopes)

        return caller

    async def _key(self, ring: KeyRing, request: Request) -> ApiKey:
        parts = keys.parse(_written(request))
        key = None if parts is None else await self._find(ring, parts[0])
        if parts is None or key is None or not key.opens(parts[1], self._clock.now()):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "key",
                f"a key is needed: Authorization: Bearer tg_…, or {HEADER}",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return key

    async def _find(self, ring: KeyRing, key_id: str) -> ApiKey | None:
        now = self._clock.monotonic()
        known, at = self._remembered.get(key_id, (None, -math.inf))
        if now - at < FRESH_S:
            return known
        try:
            known = await ring.find(key_id)
        except ConnectorError:
            if known is not None and now - at < STALE_S:
                return known
            raise
        self._remembered[key_id] = (known, now)
        return known

    def _count(self, key: ApiKey) -> None:
        """Take one of the requests that a key may make (a token bucket)."""
        if key.per_minute is None:
            return
        now, most = self._clock.monotonic(), max(LEAST_BURST, key.per_minute * BURST)
        left, at = self._spent.get(key.id, (most, now))
        left = min(most, left + (now - at) * key.per_minute / 60)
        if left < 1:
            self._spent[key.id] = (left, now)
            wait_s = math.ceil((1 - left) * 60 / key.per_minute)
            detail = f"this key may make {key.per_minute} requests a minute"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "limit", detail, retry_after_s=wait_s)
        self._spent[key.id] = (left - 1, now)


def _written(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get(HEADER, "")
