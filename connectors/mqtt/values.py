"""Numbers and times as JSON payloads write them, read strictly; and a safe way to show what was refused. Pure."""

import math
from datetime import datetime
from typing import Final

from schemas import instants
from schemas.errors import PoisonError

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
        return instants.from_micros(micros)
    except OverflowError:
        raise PoisonError("time", f"{shown(micros)} microseconds from 1970 is no date") from None


def instant(seen: object) -> datetime:
    """Read a `ts` (`schemas.instants.instant`).

    Raises:
        PoisonError: reason `time`.

    """
    try:
        return instants.instant(seen)
    except ValueError as error:
        raise PoisonError("time", f"{shown(seen)}: {error}") from None
