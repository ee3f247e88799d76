"""A text as words: one spelling for what is written in several ways."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

# Longer texts are cut; a question has a thousand letters at the most.
MOST_LETTERS: Final = 2_000

# A name with digits in it, a number, a word, or what stands between words.
_WORD: Final = re.compile(
    r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d|m[23](?:/[a-z]+)?(?!\w)"
    r"|(?:[^\W\d_]+[-_]?)?\d+(?:[.,]\d+)*(?:[-_]?[^\W\d_]+\d*)?(?:[-_/]\d+)*"
    r"|[^\W\d_]+(?:[-/][^\W\d_]+\d?)*|'[^\W\d_]+|[%‰°€$#±+]|[<>≤≥]=?|-"
)
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_NUMBER_WITH_UNIT: Final = re.compile(r"(\d+(?:[.,]\d+)*)([^\W\d_]+\d?)")
_QUOTED: Final = re.compile(r"[\"“”«»]([^\"“”«»]{1,80})[\"“”«»]")

# How contractions are read; "'s" stays what it is, for it is "is" as often as a genitive.
_CONTRACTIONS: Final = {
    "'re": ("are",),
    "'m": ("am",),
    "'ve": ("have",),
    "'ll": ("will",),
    "'d": ("'d",),
}
_NOT: Final = {"won": "will", "can": "can", "shan": "shall"}
# What "'s" is short for "is" behind.
_IS_BEHIND: Final = frozenset(
    ["what", "who", "how", "where", "when", "why", "which", "it", "that", "there", "here", "he", "she", "everything"]
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word in lower case, and as it was written, for units ("mW" and "MW")."""

    lower: str
    written: str
    quoted: bool = False


def words(text: str) -> list[Word]:
    """Take a text apart. It is cut, normalised (NFKC), and freed of contractions."""
    plain = unicodedata.normalize("NFKC", text[:MOST_LETTERS]).translate(_APOSTROPHES)[:MOST_LETTERS]
    found: list[Word] = []
    last = 0
    for quoted in _QUOTED.finditer(plain):
        _take(plain[last : quoted.start()], found)
        name = " ".join(quoted[1].lower().split())
        found.append(Word(name, name, quoted=True))
        last = quoted.end()
    _take(plain[last:], found)
    return found


_APOSTROPHES: Final = dict.fromkeys((0x2018, 0x2019, 0x02BC, 0xB4, 0x60), "'")


def _take(text: str, found: list[Word]) -> None:
    for match in _WORD.finditer(text):
        written = match.group()
        lower = written.lower()
        if lower.startswith("'"):
            _contraction(lower, found)
        elif (united := _NUMBER_WITH_UNIT.fullmatch(written)) is not None and text[
            match.start() - 1 : match.start()
        ] != "-":
            found += [Word(united[1], united[1]), Word(united[2].lower(), united[2])]
        elif lower == "cannot":
            found += [Word("can", "can"), Word("not", "not")]
        else:
            found.append(Word(lower, written))


def _contraction(lower: str, found: list[Word]) -> None:
    before = found[-1].lower if found else ""
    if lower == "'t" and before.endswith("n"):
        stem = before[:-1]
        known = _NOT.get(before, stem)
        found[-1] = Word(known, known)
        found.append(Word("not", "not"))
    elif lower == "'s":
        word = "is" if before in _IS_BEHIND else "'s"
        found.append(Word(word, word))
    else:
        found += [Word(one, one) for one in _CONTRACTIONS.get(lower, (lower,))]


def is_number(word: str) -> bool:
    """Say whether a word is a number in digits."""
    return _NUMBER.fullmatch(word) is not None
