"""Pairs of questions about devices: rewordings that want the same answer, and near misses that want another one.

A cache of answers that finds questions by their meaning should give a's answer to b in the first case and in no other.
The pairs are made from `questions/*.toml`: groups of wordings that all ask the same, with slots to be filled. A near
miss of a family comes from another value in one slot, from two slots exchanged, or from wordings that the group sets
against its own. Which part a pair belongs to is decided by its group: what is tuned on one part is reported on the
other, whose wordings it has not seen.
"""

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Literal, get_args

from connectors.errors import ConnectorError
from scripts.benches.wordings import QUESTIONS, VOCABULARY, Kind, Meaning, dressed, kinds

Part = Literal["tuning", "held-out"]
PARAPHRASE = "paraphrase"
NEAR_MISSES = [
    "numbers",
    "units",
    "directions",
    "negations",
    "antonyms",
    "windows",
    "classes",
    "severity",
    "swapped",
    "metrics",
    "aggregates",
    "intent",
    "tense",
    "identifiers",
]
PARAPHRASES = 4_200
NEAR_MISSES_EACH = 560
SWAPPED = "swapped"

# So many draws in a row without a new pair: the group has no more.
PATIENCE = 60
# How often a near miss keeps the wording and changes nothing but the meaning.
KEPT_WORDING = 0.5
# How often a rewording only fills the slots in another way.
KEPT_TEMPLATE = 0.1
SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?\}")
LONGEST = 2_000

Meanings = Mapping[str, Meaning]


class PairsError(ConnectorError):
    """A file of pairs cannot be read; the message says which line, and what to do."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions. `reworded` is a third that wants a's answer, where b does not."""

    a: str
    b: str
    same: bool
    family: str = ""
    group: str = ""
    part: Part = "held-out"
    reworded: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Wordings of one question. `against` are wordings that ask something else, by the family of that difference."""

    name: str
    wordings: Sequence[str]
    slots: Mapping[str, str]
    against: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Two slots that make another question when they are exchanged.
    swap: Sequence[str] = ()

    @property
    def part(self) -> Part:
        """Say which part the group belongs to: always the same, whatever other groups there are."""
        return "held-out" if hashlib.sha256(self.name.encode()).digest()[0] % 2 else "tuning"


def groups() -> list[Group]:
    """Read the groups."""
    found = []
    for path in sorted(QUESTIONS.glob("*.toml")):
        if path != VOCABULARY:
            with path.open("rb") as file:
                found += [_group(**entry) for entry in tomllib.load(file)["group"]]
    return found


def generate(seed: int = 7) -> list[Pair]:
    """Make all pairs, the same for the same seed."""
    maker = _Maker(Random(seed), kinds())  # noqa: S311  # pairs, not secrets
    every = groups()
    found = maker.fill(every, PARAPHRASES, maker.paraphrase)
    for family in NEAR_MISSES:
        offering = [group for group in every if maker.offers(group, family)]
        found += maker.fill(offering, NEAR_MISSES_EACH, partial(maker.near_miss, family))
    return found


def write(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs as lines of JSON."""
    lines = (json.dumps(asdict(pair), ensure_ascii=False) for pair in pairs)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(path: Path) -> list[Pair]:
    """Read lines of JSON; those of others need no more than `a`, `b` and `same`.

    Raises:
        PairsError: there is no such file, or a line is not a pair.

    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise PairsError(f"{path}: {error.strerror}; name a file of pairs, one JSON object a line") from None
    except UnicodeDecodeError:
        raise PairsError(f"{path} is not UTF-8; save it as UTF-8") from None
    # Only line feeds end a line: JSON strings may hold the other characters that Python takes for line ends.
    found = [_pair(path, number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not found:
        raise PairsError(f'{path} has no pairs; each line is {{"a": "…", "b": "…", "same": true}}')
    return found


class _Maker:
    def __init__(self, dice: Random, known: Mapping[str, Kind]) -> None:
        self._dice = dice
        self._kinds = known
        self._seen: set[frozenset[str]] = set()

    def offers(self, group: Group, family: str) -> bool:
        """Say whether the group has near misses of a family."""
        if family == SWAPPED:
            return bool(group.swap) or SWAPPED in group.against
        return family in group.against or bool(self._slots(group, family))

    def fill(self, every: Sequence[Group], count: int, make: Callable[[Group], Pair | None]) -> list[Pair]:
        """Make so many pairs, as many of each group as it has until there are enough."""
        found: list[Pair] = []
        vain = Counter[str]()
        left = list(every)
        while len(found) < count and left:
            for group in left:
                pair = make(group)
                if pair is None or not self._new(pair):
                    vain[group.name] += 1
                elif len(found) < count:
                    vain[group.name] = 0
                    found.append(pair)
            left = [group for group in left if vain[group.name] < PATIENCE]
        return found

    def paraphrase(self, group: Group) -> Pair | None:
        meanings = self._meanings(group)
        first, second = self._dice.sample(list(group.wordings), 2)
        if self._dice.random() < KEPT_TEMPLATE:
            second = first
        a, b = (self._say(group, wording, meanings) for wording in (first, second))
        if a == b:
            return None  # manners alone make no rewording
        return Pair(self._dressed(a), self._dressed(b), same=True, family=PARAPHRASE, group=group.name, part=group.part)

    def near_miss(self, family: str, group: Group) -> Pair | None:
        meanings = self._meanings(group)
        first, second, third = self._dice.sample(list(group.wordings), 3)
        changed: Meanings = meanings
        if family in group.against:
            second = self._dice.choice(group.against[family])
        else:
            changed = self._changed(group, family, meanings)
            if self._dice.random() < KEPT_WORDING:
                second = first
        if len(set(changed.values())) < len(set(meanings.values())):
            return None  # two of the same: nobody asks that
        a, reworded = (self._dressed(self._say(group, wording, meanings)) for wording in (first, third))
        b = self._dressed(self._say(group, second, changed))
        return Pair(a, b, same=False, family=family, group=group.name, part=group.part, reworded=reworded)

    def _changed(self, group: Group, family: str, meanings: Meanings) -> Meanings:
        if family == SWAPPED:
            one, other = group.swap
            return {**meanings, one: meanings[other], other: meanings[one]}
        slot = self._dice.choice(self._slots(group, family))
        return {**meanings, slot: self._kinds[group.slots[slot]].other(meanings[slot], family, self._dice)}

    def _slots(self, group: Group, family: str) -> list[str]:
        return [slot for slot, kind in group.slots.items() if family in self._kinds[kind].families]

    def _meanings(self, group: Group) -> dict[str, Meaning]:
        found: dict[str, Meaning] = {}
        for slot, kind in group.slots.items():
            while slot not in found or found[slot] in [found[each] for each in found if each != slot]:
                found[slot] = self._kinds[kind].draw(self._dice)
        return found

    def _say(self, group: Group, wording: str, meanings: Meanings) -> str:
        def fill(slot: re.Match[str]) -> str:
            name, form = slot.groups()
            return self._kinds[group.slots[name]].say(meanings[name], form or "said", self._dice)

        return SLOT.sub(fill, wording)

    def _dressed(self, text: str) -> str:
        return dressed(text, self._dice)

    def _new(self, pair: Pair) -> bool:
        both = frozenset({_plain(pair.a), _plain(pair.b)})
        if len(both) == 1 or both in self._seen:
            return False
        self._seen.add(both)
        return True


@cache
def _plain(text: str) -> str:
    """Leave out what makes no difference to anybody: capitals, and marks at the end."""
    return text.casefold().rstrip("?!. ")


def _group(
    name: str,
    wordings: Sequence[str],
    slots: Mapping[str, str] | None = None,
    against: Mapping[str, Sequence[str]] | None = None,
    swap: Sequence[str] = (),
) -> Group:
    # A slot is of the kind it is named after, unless something else is said.
    used = {slot for wording in wordings for slot, _form in SLOT.findall(wording)}
    of = {slot: (slots or {}).get(slot, slot) for slot in sorted(used)}
    return Group(name, wordings, of, against or {}, swap)


def _pair(path: Path, number: int, line: str) -> Pair:
    def refused(what: str) -> PairsError:
        return PairsError(f'{path}, line {number}: {what}; a line is {{"a": "…", "b": "…", "same": true}}')

    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise refused("not JSON") from None
    if not isinstance(entry, dict):
        raise refused("not a JSON object")
    texts = {name: entry.get(name) for name in ("a", "b")}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST or not _encodes(text):
            raise refused(f"`{name}` must be a text of 1 to {LONGEST:,} characters")
    if not isinstance(entry.get("same"), bool):
        raise refused("`same` must be true or false")
    part = entry.get("part", "held-out")
    if part not in get_args(Part):
        raise refused(f"`part` must be one of {', '.join(get_args(Part))}, or left out")
    names = {name: entry.get(name, "") for name in ("family", "group")}
    reworded = entry.get("reworded")
    if not all(isinstance(name, str) for name in names.values()) or not isinstance(reworded, str | None):
        raise refused("`family`, `group` and `reworded` must be texts, or left out")
    return Pair(entry["a"], entry["b"], entry["same"], **names, part=part, reworded=reworded)


def _encodes(text: str) -> bool:
    """Say whether it is text: JSON lets halves of characters through."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
