"""What series have said before, or since, in rows that came from other regions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from connectors.timescale.ledger import Row
from connectors.timescale.queries import query

# As many readings of each series as the detectors want to have seen before they raise an alarm, and some more.
READINGS: Final = 400
# They are looked for in so many days before.
DAYS: Final = 2

Read = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

_PAIR: Final = np.dtype([("ts", ">i8"), ("value", ">f8")])


@dataclass(frozen=True, slots=True)
class Since:
    """A series, an instant of its device's clock, and when the record was accepted that it is asked about with."""

    device_id: str
    metric: str
    ts: datetime
    accepted: datetime


def read(connection: "Connection[Row]", asked: Sequence[Since]) -> list[Read]:
    """Give the last readings of each series before its `ts`, oldest first: instants in microseconds, and values.

    Only what was accepted before `accepted` counts, so whoever asks again hears the same, or what was late.
    """
    found: dict[object, object] = dict(connection.execute(query("earlier_readings"), _values(asked)).fetchall())  # type: ignore[arg-type]  # pairs
    return [_arrays(found.get(place)) for place in range(1, len(asked) + 1)]


def spoke_since(connection: "Connection[Row]", asked: Sequence[Since]) -> list[bool]:
    """Say of each series whether it has rows after its `ts` that were accepted no later than `accepted`."""
    found = {place for (place,) in connection.execute(query("spoke_since"), _values(asked)).fetchall()}
    return [place in found for place in range(1, len(asked) + 1)]


def _values(asked: Sequence[Since]) -> dict[str, object]:
    return {
        "device_id": [one.device_id for one in asked],
        "metric": [one.metric for one in asked],
        "ts": [one.ts for one in asked],
        "accepted": [one.accepted for one in asked],
        "readings": READINGS,
        "days": DAYS,
    }


def _arrays(packed: object) -> Read:
    pairs = np.frombuffer(packed if isinstance(packed, bytes) else b"", dtype=_PAIR)
    return pairs["ts"].astype(np.int64), pairs["value"].astype(np.float64)
