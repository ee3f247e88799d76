"""The last act of a soak: workers whose topic was made anew have to end, and say why."""

import itertools
from collections.abc import Iterator

import pytest

from connectors.timescale.ledger import FencedError
from scripts.soaks import anew

FENCED = str(FencedError())
ANEW = "The topic readings was deleted and made anew while it was read"


class Worker:
    """Ends at once with each start, for one reason after the other."""

    name = "worker-1"

    def __init__(self, reasons: Iterator[str], *, alive: bool = False) -> None:
        self._reasons = reasons
        self.alive = alive
        self.start()

    def start(self) -> None:
        self._reason = next(self._reasons)

    def last_words(self) -> str:
        return self._reason


def test_a_worker_that_was_fenced_meanwhile_is_started_again_and_says_it_then() -> None:
    assert anew.unsaid([Worker(iter([FENCED, FENCED, ANEW]))], 10.0) == []


@pytest.mark.parametrize(
    ("worker", "sentence"),
    [
        (Worker(itertools.repeat(FENCED)), f"worker-1 ended when its topic was made anew, and said: {FENCED}"),
        (Worker(iter(["oops"])), "worker-1 ended when its topic was made anew, and said: oops"),
        (Worker(iter([""]), alive=True), "worker-1 goes on although its topic was deleted and made anew"),
    ],
)
def test_a_worker_that_never_says_it_is_reported(worker: Worker, sentence: str) -> None:
    assert anew.unsaid([worker], 0.3) == [sentence]
