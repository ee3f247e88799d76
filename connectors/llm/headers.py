"""What a server's headers say of how soon it may be asked again."""

import contextlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# As Go writes durations, and OpenAI these headers: "1s", "6m0s", "12ms", "1h2m3.5s".
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS_S = (3600.0, 60.0, 1.0, 0.001)
_COUNT = re.compile(r"\d{1,12}")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read how many seconds a server asks to wait: `retry-after-ms`, else `Retry-After` as seconds or as a date."""
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(ValueError):
            seconds = float(headers.get(header, "")) * unit
            if math.isfinite(seconds) and seconds >= 0:
                return seconds
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    # A date without a zone is in UTC (RFC 9110).
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def rest_s(headers: Mapping[str, str], tokens: int) -> float:
    """Say in how many seconds another call, with so many tokens, would not be too much, as `x-ratelimit-…` has it.

    The headers say how much is left of the limit, and when all of it will be there again; in between it fills up
    evenly. What is missing or cannot be read limits nothing.
    """
    return max(_wait_s(headers, "requests", 1), _wait_s(headers, "tokens", tokens))


def _wait_s(headers: Mapping[str, str], what: str, needed: int) -> float:
    limit, left = (_count(headers.get(f"x-ratelimit-{kind}-{what}", "")) for kind in ("limit", "remaining"))
    full_s = _seconds(headers.get(f"x-ratelimit-reset-{what}", ""))
    if limit is None or left is None or full_s is None or left >= min(needed, limit):
        return 0.0
    return full_s * (min(needed, limit) - left) / (limit - left)


def _count(text: str) -> int | None:
    return int(text) if _COUNT.fullmatch(text.strip()) else None


def _seconds(text: str) -> float | None:
    """Read a duration; some servers write plain seconds."""
    text = text.strip()
    with contextlib.suppress(ValueError):
        seconds = float(text)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS_S, strict=True) if part)
