"""What tokens cost, from a list of prices that others keep (`genai-prices`), or as an endpoint's owner says."""

from dataclasses import dataclass
from decimal import Decimal

from genai_prices import Usage as Priced
from genai_prices import calc_price

from connectors.llm.settings import Endpoint

MILLION = 1_000_000
# Some models cost more for prompts of hundreds of thousands of tokens. Ours have a few thousand.
USUAL = 1_000
# What a server adds to the texts of a prompt: roles, and marks between messages.
WRAPPING = 64


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the endpoint counted them, 0 where it does not say, and what they cost in dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    # Of the prompt's, those that the endpoint had kept from earlier prompts.
    cached_tokens: int = 0
    usd: Decimal = Decimal(0)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.usd + other.usd,
        )


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a token of each kind."""

    prompt: Decimal
    cached: Decimal
    completion: Decimal

    def of(self, usage: Usage) -> Decimal:
        """Give what so many tokens cost, in dollars."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        prompt = (usage.prompt_tokens - cached) * self.prompt + cached * self.cached
        return prompt + usage.completion_tokens * self.completion

    def halved(self) -> "Price":
        """Give what they cost in a batch."""
        return Price(self.prompt / 2, self.cached / 2, self.completion / 2)

    def most(self, prompt_bytes: int, output_tokens: int) -> Decimal:
        """Give the most that a call can cost, in dollars.

        No tokenizer makes more tokens of a text than it has bytes in UTF-8 (they fall back to single bytes).
        """
        return (prompt_bytes + WRAPPING) * max(self.prompt, self.cached) + output_tokens * self.completion


FREE = Price(Decimal(0), Decimal(0), Decimal(0))


def price_of(endpoint: Endpoint, base_url: str) -> Price | None:
    """Look up what a model costs at an address; None where nobody knows."""
    if endpoint.input_usd is not None and endpoint.output_usd is not None:
        prompt = endpoint.input_usd / MILLION
        return Price(prompt, prompt, endpoint.output_usd / MILLION)
    fresh = Priced(input_tokens=USUAL, output_tokens=USUAL)
    cached = Priced(input_tokens=USUAL, cache_read_tokens=USUAL)
    try:
        found = calc_price(fresh, endpoint.model, provider_api_url=base_url)
        kept = calc_price(cached, endpoint.model, provider_api_url=base_url)
    except LookupError:
        return None
    return Price(found.input_price / USUAL, kept.input_price / USUAL, found.output_price / USUAL)
