"""Numbers and times as JSON payloads write them, read strictly; and a safe way to show what was refused. Pure."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.errors import PoisonError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Where a number of seconds since 1970 ends and one of milliseconds begins (the year 5138), and so on.
_MILLISECONDS_FROM: Final = 1e11
_MICROSECONDS_FROM: Final = 1e14
_SHOWN: Final = 80


def shown(seen: object) -> str:
    """Write anything as short ASCII, for the detail of an error."""
    text = ascii(seen)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def number(seen: object, what: str) -> float:
    """Read a finite number; texts and booleans are none.

    Raises:
        PoisonError: reason `value`.

    """
    if type(seen) is float or type(seen) is int:
        try:
            value = float(seen)
        except OverflowError:
            value = math.inf
        if math.isfinite(value):
            return value
    raise PoisonError("value", f"{shown(what)} is {shown(seen)}, not a finite number")


def since_epoch(micros: int) -> datetime:
    """Give the moment that many microseconds after 1970.

    Raises:
        PoisonError: reason `time`, where the calendar does not reach so far.

    """
    try:
        return EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise PoisonError("time", f"{shown(micros)} microseconds from 1970 is no date") from None


def instant(seen: object) -> datetime:
    """Read a `ts`: ISO 8601 text (UTC where it names no offset), or a number whose size tells its unit.

    Raises:
        PoisonError: reason `time`.

    """
    if isinstance(seen, str):
        try:
            moment = datetime.fromisoformat(seen)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise PoisonError("time", f"{shown(seen)} is not ISO 8601") from None
    if type(seen) is int or (type(seen) is float and math.isfinite(seen)):
        size = abs(seen)
        scale = 1 if size >= _MICROSECONDS_FROM else 1000 if size >= _MILLISECONDS_FROM else 1_000_000
        return since_epoch(round(seen * scale))
    raise PoisonError("time", f"{shown(seen)} is neither a text nor a finite number")
