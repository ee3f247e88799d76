"""Instants as people write them on a command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.instants import from_text
from streams.cli.output import UsageError

_AGO: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def instant(text: str | None, option: str) -> datetime | None:
    """Read the value of an option: ISO 8601, or so long ago (30m, 2h, 7d); None where there is none.

    Raises:
        UsageError: it is neither.

    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return from_text(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: a time like 2026-01-31T12:00Z, or 30m, 2h or 7d for so long ago") from None
