"""How the endpoints do, as one worker tells the others and whoever looks at it."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from connectors.llm.balancer import State
from connectors.llm.pool import Pool
from connectors.llm.settings import Tier
from schemas.errors import TidegateError

Text = Annotated[str, Field(max_length=256)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Condition(StrEnum):
    """Why an endpoint is called, or not."""

    UP = "up"
    # As many calls are out as may be.
    BUSY = "busy"
    # It asked to be left alone, or its minute is used up.
    RESTING = "resting"
    # It failed.
    LEFT_ALONE = "left alone"


class EndpointReport(BaseModel):
    """One endpoint, as one worker knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: Text
    model: Text
    tier: Tier
    region: Text
    condition: Condition
    in_flight: Count
    # How many calls may be out now, and at the most.
    limit: Count
    max_concurrent: Count
    # How long the last calls took; None while there were too few.
    p50_s: Seconds | None
    p95_s: Seconds | None
    # How often it was left alone because it failed.
    ejections: Count


_REPORTS = TypeAdapter(tuple[EndpointReport, ...])


class UnreadableReportError(TidegateError):
    """What a worker is said to have told is no report."""


def report(pool: Pool, now: float) -> bytes:
    """Tell how all endpoints do, as JSON."""
    return _REPORTS.dump_json(tuple(_of(state, now) for state in pool.balancer.states.values()))


def read(told: bytes) -> tuple[EndpointReport, ...]:
    """Read what a worker has told.

    Raises:
        UnreadableReportError: it has not told it in these words.

    """
    try:
        return _REPORTS.validate_json(told)
    except ValueError:
        raise UnreadableReportError from None


def _of(state: State, now: float) -> EndpointReport:
    endpoint = state.endpoint
    return EndpointReport(
        name=endpoint.name[:256],
        model=endpoint.model[:256],
        tier=endpoint.tier,
        region=endpoint.region[:256],
        condition=_condition(state, now),
        in_flight=state.in_flight,
        limit=state.concurrency.limit,
        max_concurrent=endpoint.max_concurrent,
        p50_s=state.latencies.quantile(0.5),
        p95_s=state.latencies.quantile(0.95),
        ejections=state.breaker.openings,
    )


def _condition(state: State, now: float) -> Condition:
    if state.breaker.open_until is not None:
        return Condition.LEFT_ALONE
    if now < max(state.not_before, state.full_until):
        return Condition.RESTING
    return Condition.UP if state.has_room(now) else Condition.BUSY
