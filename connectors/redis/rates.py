"""Requests and tokens per minute of each model endpoint, shared by all workers through one script in Redis.

While Redis is away each worker lives on its lease, its share of the limits as it was last told: all leases together
grant no more than the limits allow. Two things are beyond it: a worker that is cut off alone uses its share on top of
what the others take, and one that was told of fewer workers than there are by now takes too large a share.
"""

import asyncio
import logging
import math
from importlib.resources import files
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from connectors import metrics
from connectors.clock import Clock
from connectors.errors import UnreachableError
from connectors.redis.bucket import Lease, Limits
from connectors.redis.client import SETTING, address
from connectors.redis.settings import RedisSettings

# To connect, and for each answer; and for both together, waiting for a connection included.
TIMEOUT_S, WITHIN_S = 0.25, 0.5
# After a failure Redis is left alone for so long; then one call tries.
PAUSE_S = 1.0
# Connections of a worker. An answer takes well below a millisecond, so calls hardly wait for each other.
CONNECTIONS = 8
PREFIX = "tidegate:rate:"
MICROSECONDS = 1_000_000

log: Final = logging.getLogger(__name__)

_SCRIPT = files("connectors.redis").joinpath("rates.lua").read_text("utf-8")


class Rates:
    """Takes calls of endpoints' minutes; for one event loop."""

    def __init__(self, settings: RedisSettings, clock: Clock, *, worker: str) -> None:
        """Nothing is connected yet. `worker` is another one in each process.

        Raises:
            UnreachableError: the address cannot be read.

        """
        url = settings.location
        try:
            self._redis = Redis.from_url(
                url,
                protocol=2,  # the other one begins with questions of its own
                socket_connect_timeout=TIMEOUT_S,
                socket_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise UnreachableError("Redis", address(url), SETTING, type(error).__name__) from None
        self._script = self._redis.register_script(_SCRIPT)
        self._address = address(url)
        self._clock = clock
        self._worker = worker
        self._turns = asyncio.Semaphore(CONNECTIONS)
        # By endpoint: how many workers there were when Redis last told, and what is taken while it is away.
        self._workers: dict[str, int] = {}
        self._leases: dict[str, Lease] = {}
        # Since when Redis is away, in the clock's seconds; None: it is not.
        self._away_since: float | None = None
        self._ask_again_at = 0.0
        self._trying = False
        metrics.RATES_SHARED.set(1)

    async def take(self, name: str, *, rpm: int | None, tpm: int | None, tokens: int) -> float:
        """Take one request and so many tokens of an endpoint's minute, or nothing of either.

        Gives 0.0 if they are taken, else in how many seconds they may be, at the earliest; infinity where nobody knows:
        Redis is away, and this worker has no share of that endpoint. Without limits (None) nobody is asked.

        In any 60 s no more is taken than the limits allow: token buckets (Turner, New directions in communications,
        1986) that hold a tenth of a minute. One that nobody has seen before, or that Redis has lost, has room for one
        call. A call of more tokens than a bucket holds waits until it is full, and leaves a debt.

        Raises:
            ValueError: that is no number of tokens, or no limit.

        """
        limits = _checked(Limits(rpm, tpm))
        if not 0 <= tokens < math.inf:
            raise ValueError(f"{tokens} is no number of tokens that a call may need")
        if limits == (None, None):
            return 0.0
        told = None
        if self._may_ask():
            owed = self._settle(name, limits)
            try:
                told = await self._ask(name, "take", *_arguments(limits, (1, tokens), owed))
            finally:
                if told is None and name in self._leases:
                    self._leases[name].unsettle(owed)
        if told is None:
            return self._take_of_lease(name, limits, tokens)
        wait_us, self._workers[name] = told
        return wait_us / MICROSECONDS

    async def correct(self, name: str, *, tpm: int | None, tokens: int) -> None:
        """Take so many tokens more than was thought, or give back where it is negative.

        What is given back is room from now on, though the call began earlier. If Redis is away, what it granted is not
        given back.

        Raises:
            ValueError: that is no number of tokens, or no limit.

        """
        limits = _checked(Limits(None, tpm))
        if not math.isfinite(tokens):
            raise ValueError(f"{tokens} is no number of tokens")
        if tpm is None or tokens == 0:
            return
        if self._may_ask() and await self._ask(name, "correct", *_arguments(limits, (0, tokens), (0, 0))) is not None:
            return
        lease = self._lease(name)
        if lease is not None:
            lease.correct(tpm, self._workers[name], tokens, self._clock.monotonic())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    # -- shared --------------------------------------------------------------------------------------------------------

    def _may_ask(self) -> bool:
        if self._away_since is None:
            return True
        return self._clock.monotonic() >= self._ask_again_at and not self._trying

    async def _ask(self, name: str, what: str, *arguments: float) -> tuple[int, int] | None:
        """Run the script; give the microseconds to wait and the number of workers, None if Redis is away."""
        trial = self._away_since is not None
        self._trying = self._trying or trial
        keys = [f"{PREFIX}{{{name}}}", f"{PREFIX}{{{name}}}:workers"]
        try:
            async with asyncio.timeout(WITHIN_S), self._turns:
                if trial:  # connections of before may lead nowhere
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
                wait_us, workers = await self._script(keys=keys, args=[what, self._worker, *arguments])
        except (RedisError, OSError) as error:
            self._failed(error)
            return None
        finally:
            if trial:
                self._trying = False
        if trial:
            self._back()
        return int(wait_us), int(workers)

    def _failed(self, error: Exception) -> None:
        now = self._clock.monotonic()
        self._ask_again_at = now + PAUSE_S
        if self._away_since is not None:
            return
        self._away_since = now
        for lease in self._leases.values():
            lease.empty(now)
        metrics.RATES_SHARED.set(0)
        log.warning(
            "Redis at %s cannot be used (%s). Until it can, each worker keeps to its own share of the limits.",
            self._address,
            type(error).__name__,
        )

    def _back(self) -> None:
        self._away_since = None
        metrics.RATES_SHARED.set(1)
        log.info("Redis at %s can be used again. The limits are shared.", self._address)

    # -- on its own ----------------------------------------------------------------------------------------------------

    def _take_of_lease(self, name: str, limits: Limits, tokens: int) -> float:
        lease = self._lease(name)
        if lease is None:
            return math.inf
        return lease.take(limits, self._workers[name], tokens, self._clock.monotonic())

    def _lease(self, name: str) -> Lease | None:
        """Give the lease of an endpoint; None if no share of it was ever told."""
        now = self._clock.monotonic()
        if name in self._workers and name not in self._leases:
            self._leases[name] = Lease(now if self._away_since is None else self._away_since)
        return self._leases.get(name)

    def _settle(self, name: str, limits: Limits) -> tuple[float, float]:
        """Say what was granted while Redis was away, for Redis to take that as well."""
        if name not in self._leases:
            return 0.0, 0.0
        return self._leases[name].settle(limits, self._workers[name], self._clock.monotonic())


def _checked(limits: Limits) -> Limits:
    for limit in limits:
        if limit is not None and not 1 <= limit < math.inf:
            raise ValueError(f"{limit} is no limit per minute")
    return limits


def _arguments(limits: Limits, amounts: tuple[int, int], owed: tuple[float, float]) -> list[float]:
    """Give what the script wants to know of requests, then of tokens."""
    return [value for row in zip((limit or 0 for limit in limits), amounts, owed, strict=True) for value in row]
