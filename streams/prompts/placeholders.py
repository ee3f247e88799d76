"""What an answer may say about a window: placeholders that code fills, in one pass."""

import re
from datetime import datetime

from schemas.models import AnalysisRequest
from streams.prompts.facts import UNIT_LENGTH, clip

NAMES = ("device", "metric", "value", "baseline", "spread", "from", "to")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

# Beyond these sizes a number is written with an exponent.
_LARGE, _SMALL = 1e15, 1e-4
_SIGNIFICANT = 6


def fill(text: str, request: AnalysisRequest) -> str:
    """Put the request's own words and numbers where `text` has placeholders.

    What is filled in is never read again: a device called "{value}" keeps that name. Braces around anything that is no
    placeholder stay as they are.
    """
    meanings = _meanings(request)
    return PLACEHOLDER.sub(lambda found: meanings.get(found.group(1), found.group()), text)


def unknown(text: str) -> list[str]:
    """Give the placeholders in `text` that nothing is known for."""
    return [name for name in PLACEHOLDER.findall(text) if name not in NAMES]


def number(value: float) -> str:
    """Write a number as people read it: six significant digits, all digits of large whole parts."""
    size = abs(value)
    if value == 0:
        return "0"
    if 10**_SIGNIFICANT <= size < _LARGE:
        return f"{value:.0f}"
    if _SMALL <= size < _LARGE:
        return f"{value:.{_SIGNIFICANT}g}"
    return f"{value:.{_SIGNIFICANT - 1}e}"


def _meanings(request: AnalysisRequest) -> dict[str, str]:
    unit = _printable(clip(request.unit, UNIT_LENGTH))
    return {
        "device": request.device_id,
        "metric": request.metric,
        "value": _measure(request.value, unit),
        "baseline": _measure(request.baseline, unit),
        "spread": _measure(request.spread, unit),
        "from": _moment(request.window_start),
        "to": _moment(request.window_end),
    }


def _measure(value: float, unit: str) -> str:
    return f"{number(value)} {unit}" if unit else number(value)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _printable(text: str) -> str:
    """Units have no rule of their own: control characters and the like would break lines, logs and databases."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
