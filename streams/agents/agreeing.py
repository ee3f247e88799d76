"""Whether two answers say the same: by what they judge, and by what must not differ in what they say.

Two answers to one question about one window differ in their words however often a model is asked. So words are not
compared; the severity is, whether they speak of up or down, whether they say yes or no, and whether they deny.
"""

import re
from typing import Final, Protocol

from schemas.fields import Severity

_UP: Final = re.compile(
    r"\b(?:r[io]s(?:e[sn]?|ing)|increas\w*|climb\w*|higher|upwards?|went up|go(?:es|ing)? up|grew|grow\w*)\b"
)
_DOWN: Final = re.compile(
    r"\b(?:f[ae]ll(?:s|en|ing)?|decreas\w*|drop\w*|lower|downwards?|declin\w*|went down|go(?:es|ing)? down)\b"
)
_NOT: Final = re.compile(r"\b(?:no|not|never|none|nothing|without|neither)\b|n't\b")
_YES: Final = re.compile(r"^\W*(yes|no)\b")


class Verdict(Protocol):
    """What is compared of an answer, or of the insight that it became."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""

    @property
    def summary(self) -> str:
        """What has happened."""


def agree(one: Verdict, other: Verdict) -> bool:
    """Say whether one answer may stand for the other."""
    return one.severity is other.severity and _marks(one.summary) == _marks(other.summary)


def _marks(summary: str) -> tuple[object, ...]:
    text = summary.lower()
    yes = _YES.match(text)
    return (
        None if yes is None else yes[1],
        _NOT.search(text) is not None,
        _UP.search(text) is not None,
        _DOWN.search(text) is not None,
    )
