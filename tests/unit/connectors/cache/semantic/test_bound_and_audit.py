"""A simulation of many lookups: what is served wrongly stays below the bound, and who breaks it is turned off.

The similarity of each lookup is drawn evenly between 0.7 and 1, and the stored answer is right with a probability that
depends on it.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from connectors.cache.semantic.audit import Audit, State
from connectors.cache.semantic.bound import Threshold
from connectors.cache.semantic.verdicts import BUCKET_S

Truth = Callable[[float], float]
LOOKUPS = 1500
BEGAN = 1_800_000_000.0


def curve(middle: float, slope: float) -> Truth:
    return lambda s: 1 / (1 + math.exp(-slope * (s - middle)))


def step(s: float) -> float:
    return float(s > 0.9)


def mostly(_: float) -> float:
    return 0.995


def never(_: float) -> float:
    return 0.3


def plateau(s: float) -> float:
    return 0.9 * step(s)


@dataclass
class Cache:
    """One stored question, looked up once a minute."""

    dice: random.Random
    truth: Truth
    delta: float
    among_served: float = 0.5
    threshold: Threshold = field(default_factory=Threshold)
    served: list[bool] = field(default_factory=list)
    now: float = BEGAN

    def lookup(self, audit: Audit | None = None) -> None:
        self.now += 60.0
        similarity = self.dice.uniform(0.7, 1.0)
        is_right = self.dice.random() < self.truth(similarity)
        tau = self.threshold.explore_probability(similarity, self.delta, among_served=self.among_served)
        if audit is None:
            is_served, is_judged = self.dice.random() >= tau, False
        else:
            is_served = audit.serves(similarity, tau)
            is_judged = audit.checks() if is_served else audit.shadows(tau)
        if is_served:
            self.served.append(is_right)
        if is_judged and audit is not None:
            audit.note(self.now, wrong=not is_right)
        if is_judged or not is_served:
            self.threshold.seen(similarity, correct=is_right)


def run(truth: Truth, delta: float, among_served: float, seed: int) -> tuple[int, int]:
    """Give how many were served, and how many of them wrongly."""
    dice = random.Random(seed)  # noqa: S311  # the same in every run, and no secrets
    cache = Cache(dice, truth, delta, among_served)
    for _ in range(LOOKUPS):
        cache.lookup()
    return len(cache.served), cache.served.count(False)


@pytest.mark.parametrize(
    ("truth", "least_served"),
    [(curve(0.85, 60.0), 0.2), (curve(0.8, 25.0), 0.1), (mostly, 0.4), (step, 0.2), (never, 0.0)],
)
def test_of_all_answers_no_more_than_delta_are_wrong(truth: Truth, least_served: float) -> None:
    delta, runs = 0.02, [run(truth, 0.02, 0.5, seed) for seed in range(6)]
    served, wrong = (sum(column) / (LOOKUPS * len(runs)) for column in zip(*runs, strict=True))
    assert wrong <= delta
    assert max(wrong for _, wrong in runs) <= 1.5 * delta * LOOKUPS
    assert served >= least_served, "it is of use"


@pytest.mark.parametrize(("truth", "least_served"), [(curve(0.85, 60.0), 0.1), (step, 0.15), (never, 0.0)])
def test_of_those_served_no_more_than_delta_are_wrong_where_that_is_asked(truth: Truth, least_served: float) -> None:
    delta, runs = 0.005, [run(truth, 0.005, 0.005, seed) for seed in range(6)]
    served, wrong = map(sum, zip(*runs, strict=True))
    assert wrong <= 1.5 * delta * served
    assert served >= least_served * LOOKUPS * len(runs)


def audited(truth: Truth, lookups: int, *, learns: bool = True) -> tuple[Cache, Audit]:
    dice = random.Random(7)  # noqa: S311  # as above
    cache, audit = Cache(dice, truth, 0.005), Audit(dice)
    if not learns:
        # It believes that everything is right, whatever it sees.
        cache.threshold = Threshold([(0.7, True)] * 4000)
    for _ in range(lookups):
        cache.lookup(audit)
    return cache, audit


@pytest.mark.parametrize("share", [0.8, 0.95])
def test_answers_that_a_wrong_threshold_serves_turn_the_tier_off(share: float) -> None:
    cache, audit = audited(lambda _: share, 500, learns=False)
    assert audit.state is State.OFF
    assert cache.served.count(False) < 12
    served = len(cache.served)
    for _ in range(200):
        cache.lookup(audit)
    assert len(cache.served) == served, "nothing more is served"


def test_answers_that_become_wrong_turn_it_off_and_back_on_when_they_are_right_again() -> None:
    cache, audit = audited(lambda _: 1.0, 4000, learns=False)
    report = audit.report(cache.now)
    assert (report.state, report.proven) == (State.OPEN, True)
    cache.truth = lambda _: 0.5
    before = len(cache.served)
    while audit.state is not State.OFF:
        cache.lookup(audit)
    assert len(cache.served) - before < 1500
    cache.truth = lambda _: 1.0
    cache.threshold = Threshold([(0.7, True)] * 4000)
    cache.now += BUCKET_S
    for _ in range(598):
        assert audit.report(cache.now).state == "off"
        cache.lookup(audit)
    assert audit.report(cache.now).state == "open"
    assert audit.report(cache.now).proven


def test_where_the_curve_cannot_follow_the_audit_does() -> None:
    cache, audit = audited(plateau, 3000)
    assert audit.state is State.OFF or cache.served.count(False) <= 0.005 * 3000
    assert cache.served.count(False) < 0.01 * 3000


def test_right_answers_stay_served_and_are_proven() -> None:
    cache, audit = audited(step, 9500)
    report = audit.report(cache.now)
    assert (report.state, report.wrong, report.proven) == (State.OPEN, 0, True)
    assert len(cache.served) > 0.25 * 9500
    assert cache.served.count(False) == 0
