"""A question as typed values, which have to be equal, and a form: what is said of them.

Every word counts. What is said to be polite is cut off, articles say nothing, and words that may take each other's
place in every question about a device are one; all else has to be the same, a word that nobody knows too. Where only
one thing is spoken of, the order of what is said about it changes nothing; else all of it is kept in order, for "is A
hotter than B" is not "is B hotter than A".

A form has places for its values, as in "<entity1> hotter than <entity2>": what is learnt of two forms holds for all
values. Which value stands at which place is known from the values: places are numbered in their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.cache.semantic.courtesy import WHETHER, bare
from connectors.cache.semantic.lexicon import lexicon
from connectors.cache.semantic.reading import ARTICLES, NEUTRAL, Item, items
from connectors.cache.semantic.words import words

# Raised with every change of what is read.
VERSION: Final = 2

# What has places in a form.
VALUES: Final = frozenset(
    [
        *("entity", "class", "classes", "metric", "aggregate"),
        *("amount", "number", "bound", "percentile", "window", "severity", "direction"),
    ]
)
# Things, and what belongs to them, whatever order they are named in: "the bearing temperature of pump 7".
# These may be meant without being named: "hotter" is of a temperature, "how often" counts. "Now" may be said or not.
_UNSAID: Final = frozenset([("metric", "temperature"), ("metric", "flow"), ("aggregate", "count"), ("window", "now")])
_THINGS: Final = frozenset(["entity", "class", "classes", "metric", "aggregate", "percentile"])
_JOINING: Final = NEUTRAL | ARTICLES | {"'s"}
_ENDED: Final = ("last ", "yesterday", "day-before", "last-")
_IS: Final = Item("tense", "present")
_NOW: Final = Item("window", "now")

Slot = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values, sorted; and the form."""

    values: tuple[Slot, ...]
    form: str

    def key(self) -> str:
        """Give the values as a text that no other values have."""
        return "\x1e".join(f"{kind}\x1f{value}" for kind, value in self.values)


def parse(text: str) -> Parsed:
    """Read a question. Any text is one."""
    known = lexicon()
    said = [word for word in words(text) if word.lower not in known.anywhere]
    start, end = bare([word.lower for word in said], known)
    read = items(said[start:end], known)
    whether = (start > 0 and said[start - 1].lower in WHETHER) or read[:1] == [_IS]
    read = _without_now(_tenses(_without_is(_asked_for(read))))
    if whether:
        # "Valve 3: open" may be an order, "is valve 3 open" is a question.
        read.insert(0, Item("intent", "whether"))
    values = tuple(sorted((item.kind, item.value) for item in read if _is_value(item)))
    return Parsed(values, _form(read, _places(values)))


def _is_value(item: Item) -> bool:
    return item.kind in VALUES and (item.kind, item.value) not in _UNSAID


def _asked_for(read: list[Item]) -> list[Item]:
    """Leave out the "what is" of "what is the temperature", which "the temperature, please" does not have."""
    if len(read) > 2 and read[0] == Item("intent", "what") and read[1].kind == "tense":  # noqa: PLR2004  # and something
        following = next((item for item in read[2:] if item.value not in ARTICLES), None)
        if following is not None and following.kind in _THINGS:
            return read[1:]
    return read


def _without_is(read: list[Item]) -> list[Item]:
    """Leave out what only makes a sentence of words about the present; of a time that is over it says something."""
    return read if _is_over(read) else [item for item in read if item != _IS]


def _without_now(read: list[Item]) -> list[Item]:
    """Leave out "now" where no other time is spoken of: the present is what a question is about."""
    others = any(item.kind in {"relation", "tense"} or (item.kind == "window" and item != _NOW) for item in read)
    return read if others else [item for item in read if item != _NOW]


def _tenses(read: list[Item]) -> list[Item]:
    """Make one of the ways to speak of a time that is named and over."""
    if not _is_over(read):
        return read
    forms = {item.form for item in read}
    # "Did it open" is not "was it open": what a word of tense makes of a word that is no verb of ours, it says itself.
    silent = {"past"} | ({"did"} if "base" in forms else set()) | ({"has", "had"} if "participle" in forms else set())
    kept = []
    for item in read:
        if item.kind == "tense" and item.value in silent:
            continue
        is_over = item.form in {"past", "participle"} or (item.form == "base" and Item("tense", "did") in read)
        kept.append(replace(item, form="past") if is_over else item)
    return kept


def _is_over(read: Sequence[Item]) -> bool:
    return any(item.kind == "window" and item.value.startswith(_ENDED) for item in read)


def _places(values: Sequence[Slot]) -> dict[Slot, str]:
    """Give each value of a kind a number, in their order; equal ones have one place."""
    places: dict[Slot, str] = {}
    counts: dict[str, int] = {}
    for kind, value in values:
        if (kind, value) not in places:
            counts[kind] = counts.get(kind, 0) + 1
            places[kind, value] = f"<{kind}{counts[kind]}>"
    return places


def _form(read: Sequence[Item], places: dict[Slot, str]) -> str:
    groups = _groups(read, places)
    if _is_about_one(read, groups):
        return " ".join(sorted(word for group in groups for word in group))
    return " | ".join(" ".join(group) for group in groups)


def _groups(read: Sequence[Item], places: dict[Slot, str]) -> list[tuple[str, ...]]:
    """Put things and what belongs to them together, in an order of their own; all else stays by itself."""
    groups: list[tuple[str, ...]] = []
    things: list[str] = []
    for place, item in enumerate(read):
        if item.kind in _THINGS:
            things.append(_said(item, places))
            continue
        if item.value in _JOINING and item.kind == "plain":
            following = next((one for one in read[place + 1 :] if one.value not in ARTICLES), None)
            if item.value in ARTICLES or (following is not None and following.kind in _THINGS):
                continue
        if things:
            groups.append(tuple(sorted(things)))
            things = []
        groups.append((_said(item, places),))
    if things:
        groups.append(tuple(sorted(things)))
    return groups


def _said(item: Item, places: dict[Slot, str]) -> str:
    place = places.get((item.kind, item.value))
    if place is not None:
        return place + (f":{item.form}" if item.form else "")
    # A word that means two things is two words.
    kind = "" if item.kind in {"word", "plain", "relation"} else f"{item.kind}:"
    return f"{kind}{item.value.replace(' ', '_')}" + (f":{item.form}" if item.form else "")


def _is_about_one(read: Sequence[Item], groups: Sequence[tuple[str, ...]]) -> bool:
    kinds = [item.kind for item in read]
    nouns = kinds.count("word") + sum(len(group) > 1 for group in groups)
    nouns += sum(item.kind in _THINGS for item in read) if not any(len(group) > 1 for group in groups) else 0
    several = sum(kind in {"amount", "number", "bound", "percentile"} for kind in kinds)
    return nouns <= 1 and several <= 1 and "relation" not in kinds and kinds.count("window") <= 1
