"""What is asked of a pool, and on which terms."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel

from connectors.errors import ConnectorError
from connectors.llm.attempt import Ask
from connectors.llm.door import Size
from connectors.llm.settings import Tier

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a call is made."""

    # Equal keys go to the same endpoint where that is possible.
    key: str = ""
    # The endpoint that should be asked, whatever else holds, while it is up and has room.
    stay: str = ""
    # Whose budget pays.
    tenant: str = ""
    tier: Tier = Tier.SMALL
    # How long the answer may be.
    output_tokens: int = 2000


ANY = Terms()


@dataclass(eq=False, slots=True)
class Call(Generic[A]):
    """One question on its way through the endpoints."""

    terms: Terms
    size: Size
    ask: Ask[A]
    tried: set[str] = field(default_factory=set)
    last: ConnectorError | None = None
