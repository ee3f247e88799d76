from typing import Annotated

import pytest
from pydantic import BaseModel, Field, SecretStr

from connectors.errors import ConnectorError
from connectors.llm.client import Model
from connectors.llm.schema import strict_schema
from connectors.llm.settings import Endpoint


class Inner(BaseModel):
    score: Annotated[float, Field(ge=0, le=1)] = 0.5


class Outer(BaseModel):
    inner: Inner
    note: str | None = None


def test_a_strict_schema_requires_everything_and_allows_nothing_else() -> None:
    schema = strict_schema(Outer)

    assert schema["required"] == ["inner", "note"]
    assert schema["additionalProperties"] is False
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    assert definitions["Inner"]["required"] == ["score"]
    assert definitions["Inner"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "address", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://[::1/v1", "http://a:b/v1"]
)
def test_an_address_that_is_none_is_refused_by_name_of_its_setting(address: str) -> None:
    with pytest.raises(ConnectorError, match=r"'odd' is not an address.*TIDEGATE_LLM__ENDPOINTS"):
        Model(Endpoint(name="odd", base_url=address), 1.0)


@pytest.mark.parametrize("key", ["sk-secret\n", "sk secret", "sk-sécret"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConnectorError, match="api_key of model endpoint 'odd'") as caught:
        Model(Endpoint(name="odd", base_url="http://host/v1", api_key=SecretStr(key)), 1.0)

    assert key.strip() not in str(caught.value)


def test_without_key_and_address_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConnectorError, match="has no api_key"):
        Model(Endpoint(name="bare"), 1.0)
