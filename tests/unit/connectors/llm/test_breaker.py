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
