"""What may go together to a model: how much fits, how long its answer may be, and who bears what part of its cost."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from connectors.llm.prices import Usage
from streams.prompts.facts import Facts
from streams.prompts.pack import shares
from streams.prompts.prompt import size

T = TypeVar("T")

# Letters of windows in a prompt: some 4,000 tokens, whatever devices call themselves.
MOST_LETTERS = 16_000
# How long answers may be: to the first window of a call, and to each of the others.
FIRST_ANSWER_TOKENS, ANSWER_TOKENS = 1000, 400


class Room:
    """How much of a prompt is left. One window always fits."""

    def __init__(self) -> None:
        """Nothing is in it."""
        self._windows = 0
        self._letters = 0

    def takes(self, facts: Facts, most: int) -> bool:
        """Put a window in, if it fits and there are no more than `most` then; say whether it was."""
        letters = self._letters + size(facts)
        if self._windows and (self._windows >= most or letters > MOST_LETTERS):
            return False
        self._windows, self._letters = self._windows + 1, letters
        return True


def packed(windows: Iterable[tuple[T, Facts]], most: int) -> Iterator[list[tuple[T, Facts]]]:
    """Put windows of one tenant into packs, in their order, as many into each as fit."""
    pack: list[tuple[T, Facts]] = []
    room = Room()
    for window in windows:
        if not room.takes(window[1], most):
            yield pack
            pack, room = [], Room()
            room.takes(window[1], most)
        pack.append(window)
    if pack:
        yield pack


def answer_tokens(windows: int) -> int:
    """Say how long the answer to so many windows may be."""
    return FIRST_ANSWER_TOKENS + ANSWER_TOKENS * (windows - 1)


def split(usage: Usage, parts: int) -> list[Usage]:
    """Share out evenly what a call took."""
    kinds = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
    tokens = zip(*(shares(kind, parts) for kind in kinds), strict=True)
    return [Usage(prompt, completion, cached, usage.usd / parts) for prompt, completion, cached in tokens]
