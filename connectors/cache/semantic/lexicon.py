"""What words mean (`lexicon.toml`), made ready for looking up phrases word by word."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any, Final

# Sections whose phrases are slots of the section's name.
SECTIONS: Final = (
    "intent",
    "tense",
    "modality",
    "metric",
    "aggregate",
    "severity",
    "class",
    "window",
    "state",
    "not",
    "relation",
    "bound",
    "word",
)
# The forms of a verb, in the order of the lexicon.
FORMS: Final = ("base", "third", "past", "participle", "ing")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase stands for."""

    kind: str
    value: str
    form: str = ""


@dataclass(slots=True)
class Phrases:
    """Phrases by their first word, the longest first."""

    by_first: dict[str, list[tuple[tuple[str, ...], Meaning]]] = field(default_factory=dict)

    def add(self, phrase: str, meaning: Meaning) -> None:
        """Add a phrase; what was there first stays."""
        words = tuple(phrase.lower().split())
        known = self.by_first.setdefault(words[0], [])
        if all(words != other for other, _ in known):
            known.append((words, meaning))
            known.sort(key=lambda pair: -len(pair[0]))

    def match(self, words: Sequence[str], at: int) -> tuple[int, Meaning] | None:
        """Give the longest phrase that begins at a word: how many words it has, and what it means."""
        for phrase, meaning in self.by_first.get(words[at], ()):
            if len(phrase) == 1 or tuple(words[at : at + len(phrase)]) == phrase:
                return len(phrase), meaning
        return None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All that is known of words."""

    phrases: Phrases
    openings: Phrases
    closings: Phrases
    anywhere: frozenset[str]
    # Symbols as they are written, names in lower case: the base unit and the factor to it.
    units: Mapping[str, tuple[str, Fraction]]
    plain: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """Read it, once."""
    read = tomllib.loads(files("connectors.cache.semantic").joinpath("lexicon.toml").read_text("utf-8"))
    phrases = Phrases()
    for section in SECTIONS:
        for value, ways in read[section].items():
            _add_all(phrases, ways, Meaning(section, value))
            if section == "class":
                _add_all(phrases, map(_plural, ways), Meaning("classes", value))
    for value, forms in read["verb"].items():
        for form, ways in zip(FORMS, forms, strict=True):
            _add_all(phrases, (way.strip() for way in ways.split(",")), Meaning("verb", value, form))
    courtesy = read["courtesy"]
    openings, closings = Phrases(), Phrases()
    for phrases_of in (openings, closings):
        _add_all(phrases_of, courtesy["anywhere"], Meaning("courtesy", "opening"))
    for kind in ("opening", "asks", "gives", "wants", "wonders"):
        _add_all(openings, courtesy[kind], Meaning("courtesy", kind))
    _add_all(closings, courtesy["closing"], Meaning("courtesy", "closing"))
    return Lexicon(
        phrases, openings, closings, frozenset(courtesy["anywhere"]), _units(read["units"]), frozenset(read["plain"])
    )


def _add_all(phrases: Phrases, ways: Iterable[str], meaning: Meaning) -> None:
    for way in ways:
        phrases.add(_contracted(way), meaning)


def _plural(way: str) -> str:
    if way.endswith(("s", "x", "ch", "sh")):
        return f"{way}es"
    return f"{way[:-1]}ies" if way.endswith("y") else f"{way}s"


def _contracted(way: str) -> str:
    # As words are taken apart: "i'd" is "i 'd".
    return way.replace("'", " '")


def _units(read: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, tuple[str, Fraction]]:
    units: dict[str, tuple[str, Fraction]] = {}
    for base, written in read.items():
        for factor, *names in written:
            for name in names:
                units.setdefault(name, (base, Fraction(factor)))
                if " " in name:
                    units.setdefault(name.lower(), (base, Fraction(factor)))
    return units
