from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.llm.headers import rest_s, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "after lunch"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def limits(what: str, limit: str, remaining: str, reset: str) -> dict[str, str]:
    values = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{name}-{what}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        (limits("requests", "60", "1", "59s"), 0.0),
        # 60 come back in a minute, so the first of them in a second.
        (limits("requests", "60", "0", "1m0s"), 1.0),
        (limits("requests", "60", "0", "60"), 1.0),
        (limits("requests", "10", "0", "20ms"), 0.002),
        (limits("requests", "3600", "0", "1h0m0s"), 1.0),
        # 1,000 tokens are needed, 400 are there, 9,600 come back in 48 s.
        (limits("tokens", "10000", "400", "48s"), 3.0),
        (limits("tokens", "10000", "1000", "48s"), 0.0),
        # All that there ever is, where a call needs more.
        (limits("tokens", "500", "0", "5s"), 5.0),
        (limits("requests", "60", "0", "1m0s") | limits("tokens", "10000", "400", "48s"), 3.0),
        (limits("requests", "60", "0", "soon"), 0.0),
        (limits("requests", "60", "0", ""), 0.0),
        (limits("requests", "60", "0", "-4"), 0.0),
        (limits("requests", "60", "0", "inf"), 0.0),
        (limits("requests", "60", "none", "1s"), 0.0),
        (limits("requests", "0", "0", "1s"), 0.0),
        (limits("requests", "-1", "-1", "0"), 0.0),
    ],
)
def test_rest(headers: dict[str, str], seconds: float) -> None:
    assert rest_s(headers, 1000) == pytest.approx(seconds)


@given(
    st.dictionaries(st.sampled_from(sorted(limits("requests", "", "", "") | limits("tokens", "", "", ""))), st.text())
)
def test_whatever_a_server_writes_is_no_error(headers: dict[str, str]) -> None:
    assert rest_s(headers, 7) >= 0
