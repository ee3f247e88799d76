from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.llm.prices import Price, Usage, price_of
from connectors.llm.settings import Endpoint

OPENAI = "https://api.openai.com/v1/"
PRICE = Price(Decimal("2e-6"), Decimal("1e-6"), Decimal("8e-6"))


def test_the_list_knows_what_a_model_costs_where() -> None:
    mini = price_of(Endpoint(name="a", model="gpt-4o-mini"), OPENAI)
    assert mini == Price(Decimal("1.5e-7"), Decimal("7.5e-8"), Decimal("6e-7"))
    azure = price_of(Endpoint(name="a", model="gpt-4o-mini"), "https://ours.openai.azure.com/openai/v1/")
    assert azure == mini
    assert price_of(Endpoint(name="a", model="llama3.2"), "http://127.0.0.1:11434/v1") is None
    assert price_of(Endpoint(name="a", model="our-own-deployment"), OPENAI) is None


def test_the_owner_knows_better() -> None:
    own = Endpoint(name="a", model="gpt-4o-mini", input_usd=Decimal(3), output_usd=Decimal(0))
    assert price_of(own, OPENAI) == Price(Decimal("3e-6"), Decimal("3e-6"), Decimal(0))
    with pytest.raises(ValidationError, match="set together"):
        Endpoint(name="a", input_usd=Decimal(3))


def test_what_was_kept_from_earlier_prompts_is_cheaper() -> None:
    assert PRICE.of(Usage(1000, 100, cached_tokens=600)) == Decimal("0.0008") + Decimal("0.0006") + Decimal("0.0008")
    # Whatever a server says.
    assert PRICE.of(Usage(10, 0, cached_tokens=600)) == Decimal("0.00001")


@given(st.text(max_size=200), st.integers(0, 200), st.integers(0, 300), st.integers(0, 50))
def test_the_most_is_never_less_than_what_it_costs(text: str, tokens: int, kept: int, output: int) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert PRICE.most(size, 50) >= PRICE.of(Usage(min(tokens, size), output, kept))
