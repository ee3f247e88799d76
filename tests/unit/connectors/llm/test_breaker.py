from connectors.llm.breaker import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker


def opened() -> Breaker:
    """A breaker that opened at 0."""
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.allows(0.0)
        breaker.failed(0.0, trial=breaker.begin())
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(0.0, trial=False)
        breaker.failed(0.0, trial=False)
        breaker.succeeded(trial=False)
    assert breaker.allows(0.0)
    assert not opened().allows(0.0)


def test_it_opens_at_once_where_the_next_call_would_fail_too() -> None:
    breaker = Breaker()
    breaker.failed(0.0, trial=False, at_once=True)
    assert not breaker.allows(0.9 * FIRST_PAUSE_S)


def test_after_a_pause_one_call_is_a_trial_and_closes_it() -> None:
    breaker = opened()
    assert not breaker.allows(0.99 * FIRST_PAUSE_S)
    assert breaker.allows(FIRST_PAUSE_S)
    assert breaker.begin()
    assert not breaker.allows(FIRST_PAUSE_S), "one at a time"
    breaker.succeeded(trial=True)
    assert breaker.allows(FIRST_PAUSE_S)
    assert not breaker.begin()


def test_each_trial_that_fails_doubles_the_pause_up_to_a_longest() -> None:
    breaker, now, pauses = opened(), FIRST_PAUSE_S, []
    for _ in range(8):
        assert breaker.allows(now)
        breaker.failed(now, trial=breaker.begin())
        assert breaker.open_until is not None
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
    assert pauses[:3] == [2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_trial_that_nobody_waited_for_leaves_another_one() -> None:
    breaker = opened()
    breaker.given_up(trial=breaker.begin())
    assert breaker.allows(FIRST_PAUSE_S)


def test_calls_from_before_say_nothing_of_today() -> None:
    breaker = opened()
    breaker.succeeded(trial=False)
    assert not breaker.allows(0.0), "it had begun before the failures"
    breaker.failed(0.9, trial=False)
    assert breaker.allows(FIRST_PAUSE_S), "the pause is not prolonged"


def test_probes_that_fail_open_it_and_those_that_do_not_close_nothing() -> None:
    breaker = Breaker()
    assert [breaker.probed(0.0, alive=alive) for alive in (False, False, True, False, False, False)] == [False] * 5 + [
        True
    ]
    assert not breaker.allows(FIRST_PAUSE_S / 2)
    assert breaker.openings == 1


def test_who_was_away_and_answers_to_a_probe_is_tried_at_once() -> None:
    breaker = Breaker(pause_s=60.0)
    breaker.failed(0.0, trial=False, at_once=True)
    breaker.probed(1.0, alive=False)
    assert not breaker.allows(2.0)
    breaker.probed(2.0, alive=True)
    assert breaker.allows(2.0)
    assert breaker.begin()
    assert not breaker.allows(2.0), "with one call"


def test_who_answers_to_probes_but_fails_calls_is_left_alone_as_long_as_ever() -> None:
    breaker = Breaker(pause_s=60.0)
    breaker.failed(0.0, trial=False, at_once=True)
    for second in range(59):
        breaker.probed(float(second), alive=True)
        assert not breaker.allows(float(second))
    assert breaker.allows(60.0)


def test_probes_that_always_fail_leave_nobody_alone_for_ever() -> None:
    breaker = Breaker()
    breaker.failed(0.0, trial=False, at_once=True)
    for tenth in range(20):
        breaker.probed(tenth / 10, alive=False)
    assert breaker.allows(FIRST_PAUSE_S)
