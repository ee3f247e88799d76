"""Whether two databases have the same readings: counted and hashed by the hour, then by device where hours differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from psycopg import Connection

from connectors.timescale.ledger import Row
from connectors.timescale.queries import query

HOUR: Final = timedelta(hours=1)
_BY_HOUR: Final = "date_bin('1 hour', ts, timestamptz '2000-01-01 00:00:00+00')"

T = TypeVar("T", datetime, str)
# How many rows there are, and the exclusive or of their hashes.
Sum = tuple[int, int]
NOTHING: Final[Sum] = (0, 0)


@dataclass(frozen=True, slots=True)
class Range:
    """Which readings are compared: by `ts`, and accepted before an instant, for later ones may be on their way."""

    since: datetime
    until: datetime
    accepted: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """A device's readings of an hour are not the same: so many rows here and there."""

    hour: datetime
    device_id: str
    here: int
    there: int


def by_hour(connection: "Connection[Row]", wanted: Range) -> dict[datetime, Sum]:
    """Give count and checksum of each hour that has rows. Every row of the range is read."""
    found = {}
    for hour, rows, checksum in connection.execute(query("checksums", cut="hour", columns=_BY_HOUR), _values(wanted)):
        if isinstance(hour, datetime):
            found[hour] = _sum(rows, checksum)
    return found


def by_device(connection: "Connection[Row]", wanted: Range) -> dict[str, Sum]:
    """Give count and checksum of each device that has rows in the range."""
    rows = connection.execute(query("checksums", cut="device", columns="device_id"), _values(wanted))
    return {str(device): _sum(count, checksum) for device, count, checksum in rows}


def differences(here: "Connection[Row]", there: "Connection[Row]", wanted: Range) -> Iterator[Difference]:
    """Give what differs between two databases, oldest hour first; nothing where they have the same."""
    ours, theirs = by_hour(here, wanted), by_hour(there, wanted)
    for hour in _differing(ours, theirs):
        part = Range(max(hour, wanted.since), min(hour + HOUR, wanted.until), wanted.accepted)
        mine, others = by_device(here, part), by_device(there, part)
        for device in _differing(mine, others):
            yield Difference(hour, device, mine.get(device, NOTHING)[0], others.get(device, NOTHING)[0])


def _differing(ours: Mapping[T, Sum], theirs: Mapping[T, Sum]) -> list[T]:
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def _values(wanted: Range) -> dict[str, datetime]:
    return {"since": wanted.since, "until": wanted.until, "accepted": wanted.accepted}


def _sum(rows: object, checksum: object) -> Sum:
    if not (isinstance(rows, int) and isinstance(checksum, int)):
        raise TypeError("the statement `checksums` gives integers")
    return rows, checksum
