"""A key opens for whoever has its secret, as long as it is good, and nothing of it is kept that opens anything."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.keys import ApiKey, Scope, digest, make, parse, written

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_key_comes_apart_as_it_was_put_together_and_opens() -> None:
    key_id, secret = make()
    key = ApiKey(key_id, "acme", "line 4", frozenset({Scope.READ}), digest(secret), None, NOW, None, None)
    assert parse(written(key_id, secret)) == (key_id, secret)
    assert key.opens(secret, NOW)
    assert not key.opens(make()[1], NOW)
    assert secret not in str(asdict(key))
    assert make() != make()
    assert not replace(key, revoked=NOW).opens(secret, NOW)
    limited = replace(key, expires=NOW + timedelta(days=1))
    assert limited.opens(secret, NOW)
    assert not limited.opens(secret, NOW + timedelta(days=1))


@given(st.text(max_size=80))
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("change", ["\n", " ", "x"])
def test_a_key_with_anything_more_is_none(change: str) -> None:
    assert parse(written(*make()) + change) is None
