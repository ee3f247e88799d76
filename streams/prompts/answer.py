"""The answer's type, and the check that holds it against the numbers of the window."""

import math
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.errors import TidegateError
from schemas.fields import Severity
from schemas.models import AnalysisRequest
from streams.prompts import facts as fact
from streams.prompts.placeholders import unknown

SENTENCE_LENGTH = 1000
ITEMS = 6

# A number in an answer may be a fact rounded to the digits written, if that moved it by no more than this part of it.
ROUNDING = 0.15
# Or it may be this close to a fact.
CLOSE = 0.01

_SECONDS_PER = {"minute": 60, "hour": 3600, "day": 86400}

# A run of digits that does not continue a word ("PT100" and "CO2" are words), with thousands separators, a decimal
# part and an exponent. `\d` matches the digits of every script, and `float` reads them.
_NUMBER = re.compile(r"(?<![^\W\d])(?<!\d)(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?|(?<!\w)\.\d+")
_MINUS = frozenset("-\N{MINUS SIGN}\N{EN DASH}")


class RefusedAnswerError(TidegateError):
    """The answer is well formed, but it says something that the window does not."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`reason` is a short stable word to group by: `number`, `placeholder` or `length`."""
        self.reason = reason
        self.detail = detail
        super().__init__(f"answer refused: {reason}: {detail}" if detail else f"answer refused: {reason}")


def _plain(text: str) -> str:
    # The limit is checked here and not by Field(max_length=…): strict structured output refuses schemas with maxLength.
    if not text.strip() or len(text) > SENTENCE_LENGTH:
        message = f"a text has 1 to {SENTENCE_LENGTH} characters"
        raise ValueError(message)
    if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter != "\n" for letter in text):
        message = "a text has no control characters"
        raise ValueError(message)
    return text


Sentence = Annotated[str, AfterValidator(_plain)]
Sentences = Annotated[tuple[Sentence, ...], Field(max_length=ITEMS)]


class Answer(BaseModel):
    """An explanation of one window, with placeholders where the window's own words and numbers belong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: Sentence
    probable_causes: Sentences
    recommended_actions: Sentences
    severity: Severity
    confidence: Annotated[float, Field(ge=0.0, le=1.0)]

    def texts(self) -> tuple[str, ...]:
        """Give every text of the answer."""
        return (self.summary, *self.probable_causes, *self.recommended_actions)


def check(answer: Answer, request: AnalysisRequest) -> None:
    """Refuse an answer that says a number which the window does not have.

    Every number written in digits, in any script, must agree with some fact of the window: the value, the baseline,
    the spread, the change (absolute, in spreads, in percent), a sample's extremes and ends, their count, or the
    window's length (in seconds, minutes, hours or days), as they are or to a few digits. It agrees when it
    is the fact rounded to the digits written, moved by at most 15 %, or lies within 1 % of it. Signs count, but a
    change may be told without its sign. Digits that continue a word ("PT100") are no number.

    Not checked: which fact a number is said of, and numbers written as words.

    Raises:
        RefusedAnswerError: `number`, or `placeholder` for one that nothing is known for.

    """
    known: list[float] | None = None
    for text in answer.texts():
        if strangers := unknown(text):
            raise RefusedAnswerError("placeholder", f"{{{strangers[0][:40]}}} is not known")
        for written, value, decimals in numbers(text):
            known = _known(request) if known is None else known
            if not any(_agrees(value, decimals, one) for one in known):
                raise RefusedAnswerError("number", f"{written[:40]} is none of the window's numbers")


def numbers(text: str) -> Iterator[tuple[str, float, int]]:
    """Find the numbers of a text: as written, the value, and how many decimals (2: hundredths, -3: thousands).

    Superscripts and fractions are numbers of unknown value, NaN, unless they follow a letter, as in square metres.
    """
    for found in _NUMBER.finditer(text):
        written = found.group().replace(",", "")
        mantissa, _, exponent = written.lower().partition("e")
        decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
        yield found.group(), -float(written) if _negative(text, found.start()) else float(written), decimals
    for before, letter in pairwise(f" {text}"):
        if unicodedata.category(letter) in {"No", "Nl"} and not before.isalpha():
            yield letter, math.nan, 0


def _negative(text: str, start: int) -> bool:
    """Say whether a sign stands directly before the number, and not between two things ("2-5", "dev-42")."""
    before, sign = ("  " + text)[start], ("  " + text)[start + 1]
    return sign in _MINUS and not (before.isalnum() or before in "}_)%")


def _agrees(value: float, decimals: int, known: float) -> bool:
    # Neither NaN nor infinity passes these comparisons.
    apart = abs(value - known)
    if apart <= CLOSE * abs(known):
        return True
    return apart <= ROUNDING * abs(known) and round(known, decimals) == value


def _known(request: AnalysisRequest) -> list[float]:
    values = [sample.value for sample in request.samples]
    length = fact.window_seconds(request)
    signed = [request.value, request.baseline, request.spread, len(values), length]
    signed += [length / seconds for seconds in _SECONDS_PER.values()]
    if values:
        signed += [min(values), max(values), values[0], values[-1]]
    changes = [fact.change(request), fact.deviation(request), fact.change_percent(request)]
    told = fact.Facts.rounded(request)
    changes += [told.deviation, told.change_percent]
    either = [abs(one) for one in changes if one is not None]
    return [*signed, *told.numbers(), *either, *(-one for one in either)]
