"""A question as typed slots, which have to be equal, and a skeleton, which may only be alike.

Every word counts. What is said to be polite is cut off, articles say nothing, and words that may take each other's
place in every question about a device are one; all else has to be the same, a word that nobody knows too. Where only
one thing is spoken of, the order of what is said about it changes nothing; else all of it is kept in order, for "is A
hotter than B" is not "is B hotter than A".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.cache.semantic.courtesy import bare
from connectors.cache.semantic.lexicon import lexicon
from connectors.cache.semantic.reading import ARTICLES, NEUTRAL, Item, items
from connectors.cache.semantic.words import words

# Raised with every change of what slots mean.
VERSION: Final = 1

# Things, and what belongs to them, whatever order they are named in: "the bearing temperature of pump 7".
_THINGS: Final = frozenset(["entity", "class", "metric", "aggregate"])
_JOINING: Final = NEUTRAL | ARTICLES | {"'s"}
_ENDED: Final = ("last ", "yesterday", "day-before")

Slot = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Parsed:
    """The slots, and the words that are left, in lower case."""

    slots: tuple[Slot, ...]
    skeleton: str

    def key(self) -> str:
        """Give the slots as a text that no other slots have."""
        return "\x1e".join(f"{kind}\x1f{value}" for kind, value in self.slots)


def parse(text: str) -> Parsed:
    """Read a question. Any text is one."""
    known = lexicon()
    said = words(text)
    said = [word for word in said if word.lower not in known.anywhere]
    start, end = bare([word.lower for word in said], known)
    read = _without_is(_asked_for(items(said[start:end], known)))
    read = _tenses(read)
    skeleton = " ".join(item.value for item in read if item.kind in {"word", "plain", "verb"})
    return Parsed(_slots(read), skeleton)


def _asked_for(read: list[Item]) -> list[Item]:
    """Leave out the "what is" of "what is the temperature", which "the temperature, please" does not have."""
    if len(read) > 2 and read[0] == Item("intent", "what") and read[1].kind == "tense":  # noqa: PLR2004  # and something
        following = next((item for item in read[2:] if item.value not in ARTICLES), None)
        if following is not None and following.kind in _THINGS:
            return read[1:]
    return read


def _without_is(read: list[Item]) -> list[Item]:
    """Leave out what only makes a sentence of words about the present."""
    return [item for item in read if item not in _PRESENT]


_PRESENT: Final = frozenset([Item("tense", "present"), Item("tense", "do")])


def _tenses(read: list[Item]) -> list[Item]:
    """Make one of the ways to speak of a time that is named and over."""
    if not any(item.kind == "window" and item.value.startswith(_ENDED) for item in read):
        return read
    past = frozenset(["past", "did", "has", "had"])
    kept = []
    for item in read:
        if item.kind == "tense" and item.value in past:
            continue
        is_over = item.form in {"past", "participle"} or (item.form == "base" and Item("tense", "did") in read)
        if item.kind == "verb" and is_over:
            kept.append(Item("verb", item.value, "past"))
        else:
            kept.append(item)
    return kept


def _slots(read: Sequence[Item]) -> tuple[Slot, ...]:
    groups = _groups(read)
    if _is_about_one(groups):
        flat = sorted(slot for group in groups for slot in group)
        return tuple(flat)
    return (("in order", ""), *(slot for group in groups for slot in (*group, ("|", ""))))


def _groups(read: Sequence[Item]) -> list[tuple[Slot, ...]]:
    """Put things and what belongs to them together, in an order of their own; all else stays by itself."""
    groups: list[tuple[Slot, ...]] = []
    things: list[Slot] = []
    for place, item in enumerate(read):
        if item.kind in _THINGS:
            things.append((item.kind, item.value))
            continue
        if item.value in _JOINING and item.kind == "plain":
            following = next((one for one in read[place + 1 :] if one.value not in _JOINING), None)
            if item.value in ARTICLES or (following is not None and following.kind in _THINGS):
                continue
        if things:
            groups.append(tuple(sorted(things)))
            things = []
        groups.append(((item.kind, f"{item.value} {item.form}".strip()),))
    if things:
        groups.append(tuple(sorted(things)))
    return groups


def _is_about_one(groups: Sequence[tuple[Slot, ...]]) -> bool:
    kinds = [slot[0] for group in groups for slot in group]
    nouns = sum(group[0][0] in _THINGS or group[0][0] == "word" for group in groups)
    several = sum(kind in {"amount", "number", "bound"} for kind in kinds)
    return nouns <= 1 and several <= 1 and "relation" not in kinds and kinds.count("window") <= 1
