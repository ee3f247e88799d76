"""Dollars, as those who spend them and those who keep the books speak of them."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Grant:
    """Dollars of a day's budget, and how many seconds of that day are left."""

    day: date
    usd: Decimal
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Held:
    """Dollars of a tenant's that are set aside until whoever it may be says what was spent of them.

    `day` is that of the budgets they were taken from, if they were, and the other two say which those are.
    """

    tenant: str
    usd: Decimal
    day: date | None = None
    of_total: bool = False
    of_tenant: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What some calls of a tenant to a model of an endpoint have cost."""

    tenant: str
    endpoint: str
    model: str
    calls: int = 0
    prompt_tokens: int = 0
    # Of the prompts', those that cost less because the endpoint had kept them.
    cached_tokens: int = 0
    completion_tokens: int = 0
    usd: Decimal = Decimal(0)
    # What those calls may have cost at the most of which nobody knows how they ended.
    unsettled_usd: Decimal = Decimal(0)

    @property
    def key(self) -> tuple[str, str, str]:
        """What may be added up."""
        return self.tenant, self.endpoint, self.model

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            *self.key,
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.usd + other.usd,
            self.unsettled_usd + other.unsettled_usd,
        )
