"""Words become items: what each of them says, one after the other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.cache.semantic.lexicon import Lexicon, Meaning
from connectors.cache.semantic.quantities import Amount, amount, one_unit
from connectors.cache.semantic.words import Word, is_number

ARTICLES: Final = frozenset(["the", "a", "an"])
# These say nothing in front of a thing: "the pressure in tank 3", "of tank 3", "at tank 3".
NEUTRAL: Final = frozenset(["of", "for", "on", "at", "in"])
# In front of a stretch of time that has just ended: "over the last hour", "in the past 60 minutes".
DURING: Final = frozenset(["in", "over", "during", "within", "throughout"])
# In front of a day or a time: "on Monday", "at noon".
ON: Final = frozenset(["on", "at", "in"])
# What these say belongs to the moment that follows.
BINDING: Final = frozenset(["since", "until", "before", "after"])
NUMBERED: Final = frozenset(["number", "no", "nr", "#", "num"])
JUST_ENDED: Final = frozenset(["last", "past"])

_NAME: Final = re.compile(r"(?=.*\d)[\w/-]+")
_PERCENTILE: Final = re.compile(r"p(\d\d?)")
_PARTS_OF_NAME: Final = re.compile(r"([^\W\d_]+)[-_]?(\d[\w-]*)")


@dataclass(frozen=True, slots=True)
class Item:
    """What a word or several say."""

    kind: str
    value: str
    form: str = ""


def items(words: Sequence[Word], known: Lexicon) -> list[Item]:
    """Read all words, the first to the last."""
    reader = _Reader(words, known)
    while reader.at < len(words):
        reader.step()
    return reader.items


_CLOCK: Final = re.compile(r"(\d{1,2}):(\d\d)")
_HALVES: Final = {"am": 0, "pm": 12, "morning": 0, "afternoon": 12, "evening": 12}
_HOURS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NOON: Final = 12


def _clock(words: Sequence[str], at: int) -> tuple[int, str] | None:
    """Read "18:00", "6 pm" or "six in the evening"; give how many words that are."""
    written = _CLOCK.fullmatch(words[at])
    if written is not None:
        return 1, f"{int(written[1]):02}:{written[2]}"
    hour = _HOURS.index(words[at]) + 1 if words[at] in _HOURS else int(words[at]) if words[at].isdecimal() else 0
    if not 1 <= hour <= _NOON:
        return None
    for said in (("in", "the"), ()):
        after = at + 1 + len(said)
        if tuple(words[at + 1 : after]) == said and after < len(words) and words[after] in _HALVES:
            return after + 1 - at, f"{hour % _NOON + _HALVES[words[after]]:02}:00"
    return None


class _Reader:
    def __init__(self, words: Sequence[Word], known: Lexicon) -> None:
        self.words = words
        self.lower = [word.lower for word in words]
        self.known = known
        self.at = 0
        self.items: list[Item] = []

    def step(self) -> None:
        """Read what stands at the next word."""
        word = self.words[self.at]
        if word.quoted:
            self._take(1, Item("entity", f'"{word.lower}"'))
        elif not (
            self._just_ended() or self._binding() or self._bound() or self._joining() or self._amount() or self._known()
        ):
            self._unknown(word)

    def _take(self, length: int, item: Item | None = None) -> bool:
        self.at += length
        if item is not None:
            self.items.append(item)
        return True

    def _skip_articles(self, at: int) -> int:
        while at < len(self.words) and self.lower[at] in ARTICLES:
            at += 1
        return at

    def _just_ended(self) -> bool:
        """Read "(over the) last two hours"; "for the last hour" says more and is another thing."""
        word = self.lower[self.at]
        start = self._skip_articles(self.at + 1) if word in DURING or word == "for" else self._skip_articles(self.at)
        if start >= len(self.words) or self.lower[start] not in JUST_ENDED or self._window(start) is not None:
            return False
        if start + 1 >= len(self.words):
            return False
        lasting = amount(self.words, start + 1, self.known) or one_unit(self.words, start + 1, self.known)
        if lasting is None or not lasting.is_time:
            return False
        value = f"last {lasting}" if word != "for" else f"for last {lasting}"
        return self._take(start + 1 + lasting.length - self.at, Item("window", value))

    def _bound(self) -> bool:
        found = self.known.phrases.match(self.lower, self.at)
        if found is None or found[1].kind != "bound":
            return False
        after = self.at + found[0]
        limit = amount(self.words, after, self.known) if after < len(self.words) else None
        if limit is not None:
            return self._take(found[0] + limit.length, Item("bound", f"{found[1].value} {limit}"))
        # No amount follows, so it is a comparison of things: "higher than pump 3".
        words = self.lower[self.at : after]
        kinds = [Item("relation", one) if one == "than" else Item("word", one) for one in words]
        relation = len(kinds) == 1
        self.items += [replace(one, kind="relation") if relation else one for one in kinds]
        return self._take(found[0])

    def _binding(self) -> bool:
        """Read a word together with the moment that it is about."""
        word = self.lower[self.at]
        start = self._skip_articles(self.at + 1)
        if start >= len(self.words) or self._window(self.at) is not None:
            return False
        if word == "up" and self.lower[self.at + 1] in {"until", "till", "to"} and start + 1 < len(self.words):
            word, start = "until", self._skip_articles(self.at + 2)
        if start < len(self.words) and (word in BINDING or word in ON or word in DURING):
            window = self._window(start)
            if window is not None:
                value = f"{word} {window[1].value}" if word in BINDING else window[1].value
                return self._take(start + window[0] - self.at, Item("window", value))
            moment = _clock(self.lower, start)
            if moment is not None:
                return self._take(start + moment[0] - self.at, Item("window", f"{word} {moment[1]}"))
        return self._from(start)

    def _from(self, start: int) -> bool:
        """Read "from Monday on" and "from Monday until now" as "since Monday"."""
        window = self._window(start) if self.lower[self.at] == "from" else None
        if window is None:
            return False
        after = start + window[0]
        for ending in (("until", "now"), ("till", "now"), ("to", "now"), ("onwards",), ("onward",), ("on",)):
            if tuple(self.lower[after : after + len(ending)]) == ending:
                return self._take(after + len(ending) - self.at, Item("window", f"since {window[1].value}"))
        return False

    def _window(self, at: int) -> tuple[int, Meaning] | None:
        found = self.known.phrases.match(self.lower, at)
        return found if found is not None and found[1].kind == "window" else None

    def _joining(self) -> bool:
        """Read "on" in front of a thing, where it is no state."""
        start = self._skip_articles(self.at + 1)
        if self.lower[self.at] not in NEUTRAL or start >= len(self.words):
            return False
        found = self.known.phrases.match(self.lower, start)
        named = _NAME.fullmatch(self.lower[start]) is not None and not is_number(self.lower[start])
        if not named and (found is None or found[1].kind not in {"class", "classes", "metric", "aggregate"}):
            return False
        return self._take(1, Item("plain", self.lower[self.at]))

    def _amount(self) -> bool:
        if self.lower[self.at] in ARTICLES and self.at + 1 < len(self.words) and self.lower[self.at] == "the":
            return False
        found = amount(self.words, self.at, self.known)
        if found is None:
            return False
        after = self.at + found.length
        if not found.base and self.lower[after : after + 2] in (["th", "percentile"], ["st", "percentile"]):
            return self._take(found.length + 2, Item("percentile", str(found)))
        return self._take(found.length, Item("amount" if found.base else "number", str(found)))

    def _known(self) -> bool:
        found = self.known.phrases.match(self.lower, self.at)
        if found is None:
            return False
        length, meaning = found
        if meaning.kind == "class":
            return self._thing(length, meaning.value)
        # Up and down have a place of their own, whatever verb says so.
        kind = "direction" if meaning.kind == "verb" and meaning.value in {"up", "down"} else meaning.kind
        return self._take(length, Item(kind, meaning.value, meaning.form))

    def _named(self, word: Word) -> tuple[int, Item] | None:
        """Read "agitator 7" and "agitator no. 7", though nobody told us what an agitator is."""
        if not word.lower.isalpha() or word.lower in self.known.plain | NEUTRAL | ARTICLES:
            return None
        at = self.at + 1
        at += at < len(self.words) and self.lower[at] in NUMBERED
        if at >= len(self.words) or self.words[at].quoted:
            return None
        name = self.lower[at]
        is_name = _NAME.fullmatch(name) is not None and not is_number(name)
        plain = None if is_name else self._bare_number(at)
        if is_name or plain is not None:
            return at + 1 - self.at, Item("entity", f"{word.lower} {name if is_name else plain}")
        return None

    def _bare_number(self, at: int) -> Amount | None:
        """Read a number that may be a name: nothing is counted or measured by it."""
        found = amount(self.words, at, self.known)
        ordinal = self.lower[at + 1 : at + 2] in (["th"], ["st"], ["nd"], ["rd"])
        return None if found is None or found.base or found.length > 1 or ordinal else found

    def _thing(self, length: int, name: str) -> bool:
        """Read "pump 7", "pump no. 7", "line A" or just "the pump"."""
        at = self.at + length
        numbered = at < len(self.words) and self.lower[at] in NUMBERED
        at += numbered
        if at < len(self.words):
            word = self.words[at]
            letter = len(word.written) == 1 and word.written.isupper()
            is_name = _NAME.fullmatch(word.lower) and not is_number(word.lower) and not _CLOCK.fullmatch(word.lower)
            if letter or is_name:
                return self._take(at + 1 - self.at, Item("entity", f"{name} {word.lower}"))
            number = self._bare_number(at)
            if number is not None:
                return self._take(at + 1 - self.at, Item("entity", f"{name} {number}"))
        return self._take(length, Item("class", name))

    def _unknown(self, word: Word) -> None:
        if (percentile := _PERCENTILE.fullmatch(word.lower)) is not None:
            self._take(1, Item("percentile", percentile[1]))
            return
        named = self._named(word)
        if named is not None:
            self._take(*named)
            return
        parts = _PARTS_OF_NAME.fullmatch(word.lower)
        if parts is not None:
            found = self.known.phrases.match([parts[1]], 0)
            name = f"{found[1].value} {parts[2]}" if found is not None and found[1].kind == "class" else word.lower
            self._take(1, Item("entity", name))
        elif _NAME.fullmatch(word.lower):
            self._take(1, Item("entity", word.lower))
        elif word.lower in self.known.plain or word.lower in ARTICLES or word.lower in NEUTRAL:
            self._take(1, Item("plain", word.lower))
        else:
            self._take(1, Item("word", word.lower))
