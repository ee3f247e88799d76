"""Numbers with their units, exactly: 90 minutes are an hour and a half."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from connectors.cache.semantic.lexicon import Lexicon
from connectors.cache.semantic.words import Word, is_number

_SMALL: Final = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_NUMBERS: Final = {word: number for number, word in enumerate(_SMALL)} | {
    word: 10 * number
    for number, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_TENS: Final = frozenset(range(20, 100, 10))
_TIMES: Final = frozenset(["s", "day", "week", "month", "year"])
# Parts of an hour, as they are said.
_PARTS: Final = (
    (("half", "an", "hour"), Fraction(1800)),
    (("half", "hour"), Fraction(1800)),
    (("half-hour",), Fraction(1800)),
    (("a", "quarter", "of", "an", "hour"), Fraction(900)),
    (("quarter", "of", "an", "hour"), Fraction(900)),
    (("quarter", "hour"), Fraction(900)),
    (("three", "quarters", "of", "an", "hour"), Fraction(2700)),
    (("an", "hour", "and", "a", "half"), Fraction(5400)),
)
_LONGEST_UNIT: Final = 3


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, in its unit's base unit; without a unit `base` is empty. `length` words say it."""

    value: Fraction
    base: str
    length: int

    def __str__(self) -> str:
        return f"{self.value} {self.base}".rstrip()

    @property
    def is_time(self) -> bool:
        """Whether it is a length of time."""
        return self.base in _TIMES


def amount(words: Sequence[Word], at: int, known: Lexicon) -> Amount | None:
    """Read the amount that begins at a word."""
    for said, seconds in _PARTS:
        if tuple(word.lower for word in words[at : at + len(said)]) == said:
            return Amount(seconds, "s", len(said))
    sign = 1
    start = at
    if words[at].lower in {"-", "+"} and at + 1 < len(words) and is_number(words[at + 1].lower):
        sign, start = (-1 if words[at].lower == "-" else 1), at + 1
    number = _number(words, start)
    if number is None:
        if words[at].lower in {"a", "an"} and (unit := _unit(words, at + 1, known)) is not None and unit[0] in _TIMES:
            return Amount(unit[1], unit[0], 1 + unit[2])
        return None
    value, length = number
    length += start - at
    unit = _unit(words, at + length, known)
    if unit is None:
        return Amount(sign * value, "", length)
    return Amount(sign * value * unit[1], unit[0], length + unit[2])


def one_unit(words: Sequence[Word], at: int, known: Lexicon) -> Amount | None:
    """Read a unit of time without a number, as in "the last hour"."""
    unit = _unit(words, at, known)
    if unit is None or unit[0] not in _TIMES or (words[at].lower.endswith("s") and words[at].lower != "s"):
        return None
    return Amount(unit[1], unit[0], unit[2])


def _number(words: Sequence[Word], at: int) -> tuple[Fraction, int] | None:
    if at >= len(words) or words[at].quoted:
        return None
    word = words[at].lower
    if is_number(word):
        value = _digits(word)
        return None if value is None else (value, 1)
    first, _, second = word.partition("-")
    if first in _NUMBERS:
        if second:
            ones = _NUMBERS.get(second)
            return (Fraction(_NUMBERS[first] + ones), 1) if ones is not None and _NUMBERS[first] in _TENS else None
        following = words[at + 1].lower if at + 1 < len(words) else ""
        if _NUMBERS[first] in _TENS and 0 < _NUMBERS.get(following, 0) < _SMALLEST_TEEN:
            return Fraction(_NUMBERS[first] + _NUMBERS[following]), 2
        return Fraction(_NUMBERS[first]), 1
    return None


_SMALLEST_TEEN: Final = 10
_GROUP: Final = 3


def _digits(word: str) -> Fraction | None:
    """Read "1500", "1,500", "1.5" and "1,5". What could be two numbers is none."""
    try:
        parts = word.replace(",", ".").split(".")
        if len(parts) == 1:
            return Fraction(int(word))
        if "," in word and "." not in word and all(len(part) == _GROUP for part in parts[1:]):
            return Fraction(int("".join(parts)))
        if len(parts) == 2:  # noqa: PLR2004  # before and after the point
            return Fraction(f"{int(parts[0])}.{parts[1]}")
    except ValueError:  # digits of a script that `Fraction` does not read
        return None
    return None


def _unit(words: Sequence[Word], at: int, known: Lexicon) -> tuple[str, Fraction, int] | None:
    for length in range(min(_LONGEST_UNIT, len(words) - at), 0, -1):
        taken = words[at : at + length]
        if any(word.quoted for word in taken):
            continue
        for name in ("".join(word.written for word in taken), " ".join(word.lower for word in taken)):
            found = known.units.get(name)
            if found is not None and (length == 1 or name):
                return (*found, length)
    return None
