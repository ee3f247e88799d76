"""What stands in the slots of the questions: meanings, the ways to say each, and what is near but something else.

A meaning is a tuple of words; every way to say it is a true paraphrase of every other. What changes a meaning belongs
to a family of near misses. The words are in `questions/vocabulary.toml`; numbers, units and identifiers are made here.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

QUESTIONS = Path(__file__).with_name("questions")
VOCABULARY = QUESTIONS / "vocabulary.toml"

Meaning = tuple[str, ...]

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


class Kind(Protocol):
    """What a slot can be filled with."""

    @property
    def families(self) -> frozenset[str]:
        """Say which near misses it makes."""

    def draw(self, dice: Random) -> Meaning:
        """Give a meaning."""

    def other(self, meaning: Meaning, family: str, dice: Random) -> Meaning:
        """Give a meaning that is near this one, and not it."""

    def say(self, meaning: Meaning, form: str, dice: Random) -> str:
        """Say a meaning in one of its ways; `form` is its grammatical form, where it has several."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Meanings that are listed, with all their wordings."""

    families: frozenset[str]
    # By meaning, then by form.
    said: Mapping[str, Mapping[str, Sequence[str]]]
    near: Mapping[str, Sequence[str]]

    def draw(self, dice: Random) -> Meaning:
        """Give one of the list."""
        return (dice.choice(list(self.said)),)

    def other(self, meaning: Meaning, family: str, dice: Random) -> Meaning:
        """Give another of the list: one of those that are near, where the list says which."""
        del family  # there is only one
        (word,) = meaning
        return (dice.choice(self.near.get(word) or [each for each in self.said if each != word]),)

    def say(self, meaning: Meaning, form: str, dice: Random) -> str:
        """Choose a wording."""
        return dice.choice(self.said[meaning[0]][form])


@dataclass(frozen=True, slots=True)
class Named:
    """A noun and an identifier: `pump 23`, `motor M8`."""

    nouns: Sequence[Sequence[str]]

    @property
    def families(self) -> frozenset[str]:
        """Have near misses of classes where there are several nouns."""
        return frozenset({"classes", "identifiers"} if len(self.nouns) > 1 else {"identifiers"})

    def draw(self, dice: Random) -> Meaning:
        """Give a noun and an identifier, of digits or of a letter and digits."""
        number = str(dice.choice([dice.randint(2, 99), dice.randint(100, 999)]))
        if dice.random() < 0.4:  # noqa: PLR2004  # as many as have a letter
            number = dice.choice("ABCDEFHKMPRTVX") + number[:2]
        return (str(dice.randrange(len(self.nouns))), number)

    def other(self, meaning: Meaning, family: str, dice: Random) -> Meaning:
        """Give another noun with the same identifier, or the same noun with one that looks alike."""
        noun, name = meaning
        if family == "classes":
            return (dice.choice([str(each) for each in range(len(self.nouns)) if str(each) != noun]), name)
        return (noun, dice.choice(_alike(name)))

    def say(self, meaning: Meaning, form: str, dice: Random) -> str:
        """Say the noun in one of its names, and the identifier with or without a word that says it is one."""
        del form  # names have no forms
        noun, name = dice.choice(self.nouns[int(meaning[0])]), meaning[1]
        marks = ("", "", "", "no. ", "number ", "#") if name.isdigit() else ("",)
        return f"{noun} {dice.choice(marks)}{name}".strip()


@dataclass(frozen=True, slots=True)
class Counted:
    """A small number of things."""

    most: int = 30
    families: frozenset[str] = frozenset({"numbers"})

    def draw(self, dice: Random) -> Meaning:
        """Give a number."""
        return (str(dice.randint(2, self.most)),)

    def other(self, meaning: Meaning, family: str, dice: Random) -> Meaning:
        """Give another number."""
        del family  # there is only one
        return (dice.choice(_other_numbers(meaning[0])),)

    def say(self, meaning: Meaning, form: str, dice: Random) -> str:
        """Say it in digits or in words."""
        del form  # numbers have no forms
        return dice.choice(numerals(meaning[0]))


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and a unit."""

    numbers: Sequence[str]
    # By unit: its notations, each with what stands between the number and it.
    units: Mapping[str, Sequence[str]]
    # Whole phrases for one number of one unit.
    idioms: Mapping[Meaning, Sequence[str]]

    @property
    def families(self) -> frozenset[str]:
        """Have near misses of units where there are several."""
        return frozenset({"numbers", "units"} if len(self.units) > 1 else {"numbers"})

    def draw(self, dice: Random) -> Meaning:
        """Give a number and a unit."""
        return (dice.choice(self.numbers), dice.choice(list(self.units)))

    def other(self, meaning: Meaning, family: str, dice: Random) -> Meaning:
        """Give another number of this unit, or this number of another unit."""
        number, unit = meaning
        if family == "units":
            return (number, dice.choice([each for each in self.units if each != unit]))
        most = max(float(each) for each in self.numbers)
        near = [each for each in _other_numbers(number) if float(each) <= most]
        return (dice.choice(near or [each for each in self.numbers if each != number]), unit)

    def say(self, meaning: Meaning, form: str, dice: Random) -> str:
        """Choose a notation."""
        del form  # quantities have no forms
        number, unit = meaning
        if (idioms := self.idioms.get(meaning)) and dice.random() < 0.4:  # noqa: PLR2004  # often, not always
            return dice.choice(idioms)
        notation = dice.choice(self.units[unit])
        # Words go with words: nobody writes `fifteen kPa`.
        spelled = notation[-1].isalpha() and len(notation.strip()) > len("degC ")
        return (dice.choice(numerals(number)) if spelled else number) + notation


def kinds() -> dict[str, Kind]:
    """Give all kinds of slots, by name."""
    found: dict[str, Kind] = {"count": Counted()}
    with VOCABULARY.open("rb") as file:
        vocabulary = tomllib.load(file)
    for name, section in vocabulary.items():
        found[name] = _kind(name, section)
    return found


def _kind(name: str, section: dict[str, Any]) -> Kind:
    if "nouns" in section:
        return Named(section["nouns"])
    if "units" in section:
        idioms = {tuple(words.split(maxsplit=1)): said for words, said in section.get("idioms", {}).items()}
        return Measured([str(each) for each in section["numbers"]], section["units"], idioms)
    family = section.pop("family")
    said: dict[str, dict[str, Sequence[str]]] = {}
    near = {}
    for meaning, wordings in section.items():
        forms = {"said": wordings} if isinstance(wordings, list) else dict(wordings)
        near[meaning] = forms.pop("near", ())
        if not set(near[meaning]) <= set(section):
            raise ValueError(f"{name}.{meaning} is near something that is not there")
        said[meaning] = forms
    return Listed(frozenset({family}), said, near)


def numerals(number: str) -> list[str]:
    """Give the ways to write a number: digits, and words where those are short."""
    if not number.isdigit() or int(number) >= 100:  # noqa: PLR2004  # from there on nobody spells
        return [number]
    tens, ones = divmod(int(number), 10)
    if tens < 2:  # noqa: PLR2004  # up to nineteen they have names of their own
        return [number, ONES[int(number)]]
    return [number, TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")]


def _other_numbers(number: str) -> list[str]:
    """Give numbers that look or sound like this one."""
    if "." in number:
        whole, part = number.split(".")
        near = {f"{int(whole) + 1}.{part}", f"{whole}{part}", f"{whole}.{(int(part[0]) + 2) % 9 + 1}"}
    else:
        value = int(number)
        near = {f"{value + 5}", f"{value * 10}", f"{value + 1}", f"{value + 10}", number[::-1]}
        if value > 10:  # noqa: PLR2004  # one that is left is no small number
            near |= {f"{value - 5}", f"{value - 1}"}
    return sorted(each for each in near if each != number and not each.startswith("0") and float(each) > 1)


def _alike(name: str) -> list[str]:
    """Give identifiers that look like this one."""
    letter, digits = ("", name) if name.isdigit() else (name[0], name[1:])
    last = (int(digits[-1]) + 1) % 10
    near = {letter + digits[::-1], f"{letter}{digits[:-1]}{last}", f"{letter}{digits}7", f"{letter}1{digits}"}
    if letter:
        near |= {chr(ord(letter) + 1) + digits, digits}
    return sorted(each for each in near if each != name and each.lstrip(letter or "0") and not each.startswith("0"))


CONTRACTED = {
    r"\b([Ww])hat is (?=\w)": r"\1hat's ",
    r"\b([Ww])here is (?=\w)": r"\1here's ",
    r"\b([Hh])ow is (?=\w)": r"\1ow's ",
    r"\b(is|are|was|were|did|does|do|has|have|should|could|would) not\b": r"\1n't",
    r"\bcannot\b": "can't",
    r"\bwill not\b": "won't",
    r"\bI am\b": "I'm",
    r"\bI have (?=not)": "I've ",
    r"\bwe have (?=had)": "we've ",
}
OPENINGS = ("hi, ", "hello, ", "quick question: ", "hey, ")
THANKS = (" thanks", " thank you", " thanks!")


def dressed(text: str, dice: Random) -> str:
    """Write a question as one person or another would: contracted or not, capitals, marks, manners."""
    for pattern, short in CONTRACTED.items():
        if dice.random() < 0.5:  # noqa: PLR2004  # half of all
            text = re.sub(pattern, short, text)
    text = re.sub(r"(\ba|^A) (?=[aeiou])", r"\1n ", text)
    chance = dice.random()
    if chance < 0.06:  # noqa: PLR2004  # some greet
        text = dice.choice(OPENINGS) + text
    elif chance < 0.12:  # noqa: PLR2004  # some thank
        text = text.rstrip(".") + ("" if text.endswith("?") else ",") + dice.choice(THANKS)
    if dice.random() < 0.5:  # noqa: PLR2004  # half of all
        text = text[0].upper() + text[1:]
    if dice.random() < 0.2:  # noqa: PLR2004  # on a small keyboard
        text = text.rstrip("?!.")
    return text
