"""The bench `latency`: readings at their pace, percentiles of what PostgreSQL noted, and what is said of them."""

import struct

import numpy as np
import pytest

from schemas.codec import decode
from schemas.instants import from_micros
from schemas.models import Reading
from scripts.benches import systems, trickle, visible
from scripts.benches.latency import (
    HALF,
    ROW_LOOP,
    SYSTEMS,
    THIN,
    WAITING_LOOP,
    Latency,
    Measured,
    measured,
    report,
)
from scripts.benches.trickle import AT_ONCE, DEVICES, STEP_S, Encoder, Pace, Phase, Sent, paced
from scripts.benches.visible import Times

NOW = 1_795_559_852_161_118


class Time:
    """A clock that goes on by pauses, and by what sending takes."""

    def __init__(self, *, reading_s: float = 0.0) -> None:
        self.now = 100.0
        self.reading_s = reading_s
        self.sent: list[tuple[float, int]] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def send(self, count: int) -> None:
        self.sent.append((self.now - 100.0, count))
        self.now += count * self.reading_s


# -- the pace ----------------------------------------------------------------------------------------------------------


def test_what_is_due_follows_from_the_time_and_never_exceeds_the_phase() -> None:
    pace = Pace(Phase(rate=50, seconds=10))
    assert pace.due(0.0) == 1
    pace.sent = 1
    assert (pace.due(0.019), pace.due(0.021)) == (0, 1)
    assert pace.pause(0.005) == pytest.approx(0.015)
    assert pace.due(1.001) == 50
    assert pace.due(99.0) == 499


def test_a_pause_is_a_step_at_least() -> None:
    pace = Pace(Phase(rate=100_000, seconds=1))
    pace.sent = pace.due(0.5)
    assert pace.pause(0.5) == STEP_S


def test_thin_readings_are_sent_one_by_one_when_they_are_due() -> None:
    time = Time()
    assert paced(Phase(50, 2), time.send, clock=time, pause=time.pause) == 100
    assert [count for _, count in time.sent] == [1] * 100
    assert max(abs(at - number / 50) for number, (at, _) in enumerate(time.sent)) <= STEP_S


def test_many_readings_are_sent_in_small_steps() -> None:
    time = Time(reading_s=5e-6)
    sent = paced(Phase(100_000, 1), time.send, clock=time, pause=time.pause)
    assert sent == pytest.approx(100_000, rel=0.005)
    assert max(count for _, count in time.sent) <= AT_ONCE
    behind = [
        at * 100_000 - done for (at, _), done in zip(time.sent, np.cumsum([n for _, n in time.sent]), strict=True)
    ]
    assert max(behind) <= 0


def test_a_sender_that_is_too_slow_sends_what_it_can_and_no_more_than_its_time() -> None:
    time = Time(reading_s=1e-4)
    sent = paced(Phase(50_000, 1), time.send, clock=time, pause=time.pause)
    assert sent == pytest.approx(10_000, abs=AT_ONCE)
    assert time.now - 100.0 == pytest.approx(1.0, abs=AT_ONCE * 1e-4)


def test_the_rate_that_was_reached_is_that_between_the_first_and_the_last_reading() -> None:
    assert Sent(first=0, last=1_000_000, readings=51).per_s == 50.0


def test_phases_that_have_ended_are_read_from_the_log() -> None:
    log = 'something else\n{"first": 1, "last": 2, "readings": 3}\n{"first": 4, "la'
    assert trickle.parsed(log) == [Sent(1, 2, 3)]


# -- readings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ts", [NOW, NOW + 8191, NOW + 8192, 2**31, 2**50])
def test_an_encoded_reading_is_what_the_codec_reads(ts: int) -> None:
    encoder = Encoder()
    reading = decode(encoder.value(DEVICES + 7, ts), Reading)
    assert (reading.device_id, reading.ts) == ("bench-000007", from_micros(ts))
    assert encoder.keys[7] == b"bench-000007"
    assert list(reading.metrics) == ["temperature"]


def test_a_device_has_values_that_change_and_each_device_is_introduced_once() -> None:
    encoder = Encoder()
    values = {decode(encoder.value(turn * DEVICES, NOW + turn), Reading).metrics["temperature"] for turn in range(50)}
    assert len(values) > 40
    assert len({record.key for record in trickle.introductions()}) == DEVICES


# -- times -------------------------------------------------------------------------------------------------------------


def times(*pairs: tuple[int, int]) -> Times:
    began, ended = np.array(pairs, dtype=np.int64).T
    return Times(began, ended)


def test_a_percentile_is_a_time_that_was_measured() -> None:
    found = times(*((0, 1000 * number) for number in range(1, 101)))
    assert [found.percentile_ms(share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert times((0, 7000)).percentile_ms(0.5) == 7.0
    # Of two, the larger one is needed for anything beyond a half.
    assert times((0, 1000), (0, 9000)).percentile_ms(0.51) == 9.0


def test_the_rows_of_a_transaction_are_as_old_as_its_commit_makes_them() -> None:
    def packed(*sent: int) -> bytes:
        return struct.pack(f">{len(sent)}q", *(instant - visible.POSTGRES_EPOCH for instant in sent))

    found = visible.unpacked([(NOW + 1500, packed(NOW, NOW + 200)), (NOW + 2500, packed(NOW + 1))], ahead=500)
    assert found.began.tolist() == [NOW, NOW + 200, NOW + 1]
    assert found.ended.tolist() == [NOW + 1000, NOW + 1000, NOW + 2000]
    assert len(visible.unpacked([], ahead=0)) == 0
    with pytest.raises(TypeError, match="when some rows were committed"):
        visible.unpacked([(None, packed(NOW))], ahead=0)


# -- what is said ------------------------------------------------------------------------------------------------------


S = 1_000_000


def test_the_first_seconds_are_left_out_and_other_phases_too() -> None:
    phase = Sent(first=10 * S, last=20 * S, readings=3)
    rows = times((1 * S, 99 * S), (10 * S, 15 * S), (13 * S, 13 * S + 4000), (20 * S, 20 * S + 6000), (30 * S, 31 * S))
    flushes = times((11 * S, 12 * S), (14 * S, 14 * S + 2000))
    found = measured(phase, rows, flushes)
    assert found.latency == Latency(p50=4.0, p99=6.0, max=6.0)
    assert found.committed_per_s == 2 / 8
    assert found.flush_p99_ms == 2.0


def test_a_system_that_has_not_stored_all_has_no_latency() -> None:
    found = measured(Sent(0, 10 * S, 3), times((0, S), (9 * S, 9 * S + 1000)), times((0, 1)))
    assert found.latency is None
    assert found.committed_per_s == pytest.approx(1 / 8)
    assert found.flush_p99_ms is None


def one(p99: float | None, sent: float = 50.0, committed: float = 50.0) -> Measured:
    return Measured(sent, committed, None if p99 is None else Latency(p99 / 2, p99, p99 * 2), 1.0)


def test_goals_and_ratios_follow_from_medians() -> None:
    figures = {
        (systems.TIDEGATE, THIN): [one(30.0), one(20.0), one(250.0)],
        (WAITING_LOOP, THIN): [one(900.0)],
        (systems.TIDEGATE, HALF): [one(1000.5, 40_000.0, 40_000.0)],
    }
    said = report(figures, [90_000.0, 80_000.0, 70_000.0], {"postgresql": "18"})
    assert {goal.name: (goal.value, goal.met) for goal in said.goals} == {
        "tidegate, p99 in ms, thin": (30.0, True),
        "tidegate, p99 in ms, half the maximum": (1000.5, False),
    }
    assert said.ratios[f"tidegate / {WAITING_LOOP}, p99, thin"] == 30.0 / 900.0
    assert said.ratios[f"tidegate / {ROW_LOOP}, p99, thin"] is None
    assert said.versions == {"postgresql": "18"}
    medians = {(result.system, result.metric): result.median for result in said.results}
    assert medians[systems.TIDEGATE, "maximum, while nothing is sent"] == 80_000.0
    assert medians[systems.TIDEGATE, "p50, thin"] == 15.0
    assert medians[systems.TIDEGATE, "max, thin"] == 60.0
    assert medians[systems.TIDEGATE, f"sent, {HALF}"] == 40_000.0
    assert medians["postgresql", "flush of a small commit, p99, thin"] == 1.0
    assert {result.system for result in said.results} == {"postgresql", *(system.name for system in SYSTEMS)}


def test_who_fell_behind_once_has_no_latency_and_it_is_said() -> None:
    figures = {(systems.TIDEGATE, HALF): [one(400.0, 40_000.0, 40_000.0), one(None, 40_000.0, 31_000.0)]}
    said = report(figures, [80_000.0], {})
    half = next(goal for goal in said.goals if HALF in goal.name)
    assert (half.value, half.met) == (None, False)
    assert said.versions == {
        "tidegate, half the maximum": (
            "no latency: fell behind in 1 of 2 runs (31,000 of 40,000 rows/s were committed)"
        )
    }
    committed = next(result for result in said.results if result.metric == f"committed, {HALF}")
    assert committed.values == (40_000.0, 31_000.0)


def test_a_rate_that_was_not_reached_is_said() -> None:
    said = report({(ROW_LOOP, HALF): [one(10.0, 30_000.0), one(10.0, 39_900.0)]}, [80_000.0], {})
    assert said.versions == {
        f"sender beside {ROW_LOOP}, {HALF}": "sent 30,000 instead of 40,000 readings/s in 1 of 2 runs"
    }
