"""Rates without Redis: what a worker does on its own, and what is refused before anybody is asked."""

import math

import pytest
from pydantic import SecretStr

from connectors.errors import UnreachableError
from connectors.redis.bucket import Bucket, Lease, Limits, Rate
from connectors.redis.rates import Rates
from connectors.redis.settings import RedisSettings
from tests.fakes.hand_clock import HandClock

# Nothing listens there.
AWAY = "redis://:s3cret@127.0.0.1:9/0"


@pytest.fixture
def rates() -> Rates:
    """Nothing is connected, so nothing has to be closed."""
    return Rates(RedisSettings(url=SecretStr(AWAY)), HandClock(), worker="w")


@pytest.mark.parametrize("url", ["", "s3cret", "http://:s3cret@127.0.0.1:1", "redis://:s3cret@127.0.0.1:port/0"])
def test_an_address_that_cannot_be_read_is_said_without_secrets(url: str) -> None:
    with pytest.raises(UnreachableError, match="TIDEGATE_REDIS__URL") as caught:
        Rates(RedisSettings(url=SecretStr(url)), HandClock(), worker="w")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("tokens", [math.nan, math.inf, -1, -0.5])
async def test_tokens_that_are_no_amount_are_refused(rates: Rates, tokens: float) -> None:
    with pytest.raises(ValueError, match="tokens"):
        await rates.take("e", rpm=1, tpm=1, tokens=tokens)  # type: ignore[arg-type]  # what a caller may get wrong
    with pytest.raises(ValueError, match="tokens"):
        await rates.take("e", rpm=None, tpm=None, tokens=tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize("tokens", [math.nan, math.inf, -math.inf])
async def test_a_correction_that_is_no_amount_is_refused(rates: Rates, tokens: float) -> None:
    with pytest.raises(ValueError, match="tokens"):
        await rates.correct("e", tpm=1, tokens=tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf])
async def test_a_limit_that_is_none_is_refused(rates: Rates, limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        await rates.take("e", rpm=limit, tpm=None, tokens=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit"):
        await rates.take("e", rpm=None, tpm=limit, tokens=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit"):
        await rates.correct("e", tpm=limit, tokens=1)  # type: ignore[arg-type]


def test_the_smallest_limit_is_one_a_minute() -> None:
    bucket, rate = Bucket(0.0, 1.0), Rate.of(1)
    assert bucket.wait_s(rate, 1, 0.0) == 0.0
    bucket.take(1)
    assert bucket.wait_s(rate, 1, 30.0) == pytest.approx(30.0)
    assert bucket.wait_s(rate, 1, 60.0) == 0.0


def test_a_lease_starts_empty_and_fills_at_the_share() -> None:
    lease, limits = Lease(100.0), Limits(600, None)
    each_s = 60 / (601 / 4 - 15)
    assert lease.take(limits, 4, 0, 100.0) == pytest.approx(each_s)
    assert lease.take(limits, 4, 0, 100.01 + each_s) == 0.0
    assert lease.take(limits, 4, 0, 100.01 + each_s) > 0.0
    for _ in range(15):
        assert lease.take(limits, 4, 0, 1000.0) == 0.0
    assert lease.take(limits, 4, 0, 1000.0) > 0.0


def test_there_is_no_lease_where_a_share_is_less_than_one() -> None:
    assert Lease(0.0).take(Limits(3, None), 4, 0, 1e6) == math.inf


def test_neither_is_taken_where_one_is_short() -> None:
    lease, limits = Lease(0.0), Limits(60, 6000)
    assert lease.take(limits, 1, 600, 1.5) > 0.0
    assert lease.requests.granted == lease.tokens.granted == 0
    assert lease.take(Limits(60, None), 1, 600, 1.5) == 0.0


def test_a_big_call_waits_for_a_full_bucket_and_leaves_a_debt() -> None:
    lease, limits = Lease(0.0), Limits(None, 6000)
    assert lease.take(limits, 1, 5000, 1.0) > 0.0
    assert lease.take(limits, 1, 5000, 60.0) == 0.0
    assert lease.tokens.level == 600 - 5000
    assert lease.take(limits, 1, 1, 61.0) == pytest.approx(4401 / (5401 / 60) - 1)


def test_a_correction_takes_more_or_gives_back_what_the_lease_gave() -> None:
    lease, limits = Lease(0.0), Limits(None, 6000)
    lease.correct(6000, 1, -500, 0.0)
    assert lease.tokens.level == 0, "it did not come from this lease"
    assert lease.take(limits, 1, 500, 60.0) == 0.0
    assert lease.tokens.level == 100
    lease.correct(6000, 1, -400, 60.0)
    assert lease.tokens.level == 500
    lease.correct(6000, 1, 700, 60.0)
    assert lease.tokens.level == -200
    lease.correct(6000, 1, -5000, 60.0)
    assert lease.tokens.level == 600


def test_what_a_lease_granted_is_owed_once_as_far_as_it_is_not_made_up_for() -> None:
    lease, limits = Lease(0.0), Limits(600, 6000)
    lease.take(limits, 1, 600, 60.0)
    assert lease.settle(limits, 1, 60.0) == (1, 600)
    assert lease.settle(limits, 1, 60.0) == (0, 0), "paid"
    lease.unsettle((1, 600))
    assert lease.settle(limits, 1, 200.0) == (0, 0), "it is full again"


def test_a_lease_that_is_emptied_keeps_its_debt() -> None:
    lease, limits = Lease(0.0), Limits(600, 6000)
    lease.take(limits, 1, 1000, 60.0)
    lease.empty(61.0)
    assert lease.requests.level == 0
    assert lease.tokens.level == 600 - 1000
