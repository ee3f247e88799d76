"""Instants as devices and clients write them, and as the log and Avro count them: microseconds since 1970."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Where a number of seconds since 1970 ends and one of milliseconds begins (the year 5138), and so on.
_MILLISECONDS_FROM: Final = 1e11
_MICROSECONDS_FROM: Final = 1e14


def instant(seen: object) -> datetime:
    """Read ISO 8601 text (UTC where it names no offset), or a number since 1970 whose size tells its unit.

    Raises:
        ValueError: it is no date; the message does not repeat it.

    """
    if isinstance(seen, str):
        return from_text(seen)
    if type(seen) is int or (type(seen) is float and math.isfinite(seen)):
        size = abs(seen)
        scale = 1 if size >= _MICROSECONDS_FROM else 1000 if size >= _MILLISECONDS_FROM else 1_000_000
        try:
            return EPOCH + timedelta(microseconds=round(seen * scale))
        except OverflowError:
            raise ValueError("the calendar does not reach so far from 1970") from None
    raise ValueError("a time is ISO 8601 text or a finite number since 1970")


def from_text(text: str) -> datetime:
    """Read ISO 8601; UTC where it names no offset.

    Raises:
        ValueError: it is no date; the message does not repeat it.

    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("not a time in ISO 8601") from None


def to_text(moment: datetime) -> str:
    """Write a time of UTC in ISO 8601."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_micros(moment: datetime) -> int:
    """Count the microseconds since 1970, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Give the time that many microseconds after 1970.

    Raises:
        OverflowError: the calendar does not reach so far.

    """
    return EPOCH + timedelta(microseconds=micros)
