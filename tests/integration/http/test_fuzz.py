"""Whatever the description of the API allows, and much that it does not, is answered and never an error of ours."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema

from connectors.http.parts import Parts
from connectors.timescale.keys import KeyRing
from connectors.timescale.settings import DatabaseSettings
from tests.integration.http.conftest import Client

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(180)]

Start = Callable[[Parts], Client]


def described(client: Client) -> BaseSchema:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{client.port}/openapi.json")


def fuzz(api: BaseSchema, check: Callable[[Any, Any], None]) -> int:
    """Ask everything that is described, in many ways; say how many kinds of requests that were."""
    operations = [found.ok() for found in api.get_all_operations() if isinstance(found, Ok)]
    for operation in operations:

        @settings(
            max_examples=20,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:  # noqa: ANN401  # whatever it makes
            answer = case.call(timeout=20)
            assert answer.status_code < 500, answer.text
            check(case, answer)

        ask()
    return len(operations)


def test_nothing_that_is_asked_is_an_error_of_ours(start: Start, parts: Parts) -> None:
    def check(_: Any, answer: Any) -> None:  # noqa: ANN401  # as above
        if answer.status_code >= 400:
            told = answer.json().keys()
            assert told >= {"error", "detail"} or told == {"error_code", "message"}

    assert fuzz(described(start(replace(parts, requests=parts.topic))), check) >= 20


def test_without_a_key_nothing_is_told(start: Start, parts: Parts, database: DatabaseSettings) -> None:
    def check(case: Any, answer: Any) -> None:  # noqa: ANN401  # as above
        if case.path.startswith(("/v1", "/analyze")):
            assert answer.status_code in {401, 422}, answer.text

    guarded = replace(parts, requests=parts.topic, keys=KeyRing(database))
    assert fuzz(described(start(guarded)), check) >= 20
