"""The window of a question: what it says of the readings, whatever they are."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.timescale.devices import DeviceKnown
from connectors.timescale.windows import Bucket, Window
from schemas.errors import PoisonError
from schemas.fields import Direction, Severity
from schemas.models import MAX_ASKED, AnalysisRequest
from streams.agents.lookup import Found, check, filled, is_needed
from streams.prompts.answer import check as check_answer
from streams.prompts.facts import Facts
from streams.prompts.insight import Origin, insight
from streams.prompts.rules import explain

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
PUMP = DeviceKnown("acme", "pump", {"t": "Cel"})


def asked(window: tuple[datetime, datetime] = (NOON, NOON + HOUR)) -> AnalysisRequest:
    return AnalysisRequest.of_table(
        request_id="6f1c7d3e-5a53-5c0b-9a0e-7469646567a7",
        region="",
        device_id="pump-7",
        metric="t",
        kind="question",
        window=window,
        question="Is it hot?",
    )


def bucket(
    at: datetime, mean: float | None, low: float | None = None, high: float | None = None, n: int = 60
) -> Bucket:
    lowest, highest = (mean if bound is None else bound for bound in (low, high))
    assert lowest is not None
    assert highest is not None
    return Bucket(at, n, mean, lowest, highest)


def found(buckets: Sequence[Bucket], before: Sequence[Bucket] = (), window: Window | None = None) -> Found:
    return Found(window or Window("pump-7", "t", NOON, NOON + HOUR), buckets, before, PUMP)


def test_a_window_is_compared_with_those_before_it() -> None:
    before = [bucket(NOON - hours * HOUR, 20.0 + hours % 2) for hours in range(1, 8)]
    window = [bucket(NOON, 29.0, 28.0, 30.0), bucket(NOON + MINUTE, 31.0, 30.5, 32.0, n=20)]
    request = filled(asked(), found(window, before))
    assert (request.tenant, request.device_class, request.unit) == ("acme", "pump", "Cel")
    assert request.value == (29.0 * 60 + 31.0 * 20) / 80  # the mean of the readings, not of the minutes
    assert request.baseline == pytest.approx((4 * 21.0 + 3 * 20.0) / 7)
    assert 0.4 < request.spread < 0.6
    assert (request.direction, request.severity) == (Direction.UP, Severity.WARNING)
    assert [sample.value for sample in request.samples] == [28.0, 32.0]  # the extremes stand for their minutes
    assert is_needed(request), "where it came from does not change"


def test_each_window_before_counts_once_and_none_reaches_into_the_window() -> None:
    # The window before begins two readings an hour, the earlier ones have many; the bucket of 11:59:30 would overlap.
    start = NOON - 30 * timedelta(seconds=1)
    window = Window("pump-7", "t", start, start + HOUR)
    before = [bucket(NOON - MINUTE, 1000.0), bucket(NOON - 2 * MINUTE, 10.0, n=2), bucket(NOON - 2 * HOUR, 20.0)]
    request = filled(asked(), found([bucket(NOON, 15.0)], before, window))
    assert (request.baseline, request.direction, request.severity) == (15.0, Direction.NONE, Severity.INFO)


def test_without_a_past_the_window_is_its_own_measure() -> None:
    window = [bucket(NOON + at * MINUTE, value) for at, value in enumerate([1.0, 2.0, 6.0])]
    request = filled(asked(), found(window))
    assert (request.value, request.baseline) == (3.0, 3.0)
    assert request.spread == pytest.approx(7.0**0.5)
    assert (request.direction, request.severity) == (Direction.NONE, Severity.INFO)


def test_nothing_found_is_said_as_it_is() -> None:
    request = filled(asked(), found([]))
    assert request.samples == ()
    answer = explain(request)
    check_answer(answer, request)
    assert answer.summary.startswith("There are no readings")


def test_a_bucket_that_has_both_extremes_shows_both() -> None:
    request = filled(asked(), found([bucket(NOON, 5.0, -1.0, 9.0)]))
    assert [sample.value for sample in request.samples] == [-1.0, 9.0]
    flat = filled(asked(), found([bucket(NOON, 5.0)]))
    assert [sample.value for sample in flat.samples] == [5.0]


finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def buckets(draw: st.DrawFn, first: int, last: int) -> list[Bucket]:
    made = []
    for at in sorted(draw(st.sets(st.integers(first, last), max_size=8))):
        low, mean, high = sorted(draw(st.tuples(finite, finite, finite)))
        known = abs(mean) <= 1e100
        made.append(Bucket(NOON + at * MINUTE, draw(st.integers(1, 10**6)), mean if known else None, low, high))
    return made


@given(buckets(0, 59), buckets(-420, -1))
def test_whatever_was_read_can_be_told(window: list[Bucket], before: list[Bucket]) -> None:
    request = AnalysisRequest.model_validate(filled(asked(), found(window, before)).model_dump())
    Facts.of(request)
    origin = Origin(source="rules", created=NOON, latency_s=0.0)  # type: ignore[arg-type]  # as pydantic reads it
    assert insight(request, explain(request), origin).window_start == NOON


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOON, NOON),
        (NOON, NOON - HOUR),
        (NOON, NOON + MAX_ASKED + MINUTE),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)),
        (datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_window_that_nobody_should_look_up_is_refused(start: datetime, end: datetime) -> None:
    with pytest.raises(PoisonError, match="window"):
        check(asked((start, end)))


def test_windows_are_widened_to_whole_buckets() -> None:
    window = Window("d", "m", NOON + timedelta(seconds=90, microseconds=1), NOON + 2 * HOUR + timedelta(seconds=1))
    assert window.width == MINUTE
    assert window.aligned() == Window("d", "m", NOON + MINUTE, NOON + 2 * HOUR + MINUTE)
    assert window.aligned().aligned() == window.aligned()
    assert Window("d", "m", NOON, NOON + timedelta(seconds=500)).width == timedelta(seconds=1)
    assert Window("d", "m", NOON, NOON + MAX_ASKED).width == HOUR
