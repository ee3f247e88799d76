"""What is only said to be polite: it is cut off at both ends of a question."""

from collections.abc import Sequence

from connectors.cache.semantic.lexicon import Lexicon

# What a question begins with that is part of a longer sentence: "I wonder if it is hot".
WHETHER = frozenset(["whether", "if"])
_QUESTIONS = frozenset(["intent", "tense", "modality"])


def bare(words: Sequence[str], known: Lexicon) -> tuple[int, int]:
    """Give the first word of what is asked, and the one after the last."""
    start, end = 0, len(words)
    while start < end:
        found = known.openings.match(words, start)
        if found is None:
            break
        after = start + found[0]
        kind = found[1].value
        if after >= end or not _may_go(kind, words, after, known):
            break
        start = after
        if kind != "opening" and words[start] in WHETHER and start + 1 < end:
            start += 1
    while (length := _closing(words, start, end, known)) and end - length > start:
        end -= length
    return start, end


def _may_go(kind: str, words: Sequence[str], after: int, known: Lexicon) -> bool:
    if kind not in {"asks", "wonders"}:
        return True
    if known.openings.match(words, after) is not None or words[after] in WHETHER:
        return True
    found = known.phrases.match(words, after)
    if found is None:
        return False
    # "Could you compare" is put to whoever answers, "can you stop" may be about anything.
    return found[1].kind == "intent" if kind == "asks" else found[1].kind in _QUESTIONS


def _closing(words: Sequence[str], start: int, end: int, known: Lexicon) -> int:
    for first in range(start, end):
        found = known.closings.match(words, first)
        if found is not None and first + found[0] == end:
            return found[0]
    return 0
