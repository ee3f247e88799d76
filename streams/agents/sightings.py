"""Which devices of a batch the table `devices` has to hear of: new ones, changed ones, and now and then the others.

A device is known by a hash of 64 bits under a key drawn at the start. Among a million devices two would have the same
one with a probability of 3 in 100 million; one of them would then be written less often than it should, until the next
start. Readings, and what is detected in them, do not depend on this.
"""

import secrets

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import from_dtype, types

from connectors.timescale.devices import DeviceSeen
from schemas.instants import from_micros
from streams.columns.batch import RawBatch, Records
from streams.columns.compiled import compiled, inner
from streams.columns.texts import Texts

Int64 = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Table = npt.NDArray[np.void]
Bools = npt.NDArray[np.bool_]

# How old `devices.last_seen` may be while a device goes on sending, in microseconds. A device is written again at some
# time in the second half of it, so that those that were written together, as after a start, do not come back together.
# At a million devices that is some 1,500 writes a second.
REFRESH_US = 15 * 60 * 1_000_000
# What a device says of itself is written when it changes, but no sooner than this after the last time: one that sends
# different units with different metrics changes with every reading.
CHANGES_US = 60 * 1_000_000

_DEVICE = np.dtype(
    [
        ("hash", np.uint64),  # 0 is a free place
        ("said", np.uint64),  # the hash of the units and tags that were written
        ("written", np.int64),  # when, in microseconds since the epoch
        ("due", np.int64),  # when it is to be written again
    ]
)
_FEWEST = 256


class Sightings:
    """Remembers when each device was last written down, and what it had said of itself."""

    def __init__(self) -> None:
        """Start with nobody known: each device is written once after a start."""
        self._key = np.array([secrets.randbits(64), secrets.randbits(64)], dtype=np.uint64)
        self._table = np.zeros(_FEWEST, dtype=_DEVICE)
        self._count = 0

    def of(self, records: Records, batch: RawBatch) -> list[DeviceSeen]:
        """Give the devices of a batch that have to be written, each with its units and tags of the latest reading."""
        devices = np.maximum(Texts.of(records.columns.column("device_id")).hashes(self._key), _ONE)
        accepted, said = batch.accepted[records.positions], self._said(records)
        found = np.empty(len(records), dtype=np.int64)
        count = _look(self._table, devices, accepted, said, found)
        if not count:
            return []
        first, last = _first_and_last(devices, devices[found[:count]])
        self._make_room(len(last))
        chosen = np.empty(len(last), dtype=np.bool_)
        self._count += _choose(self._table, devices[last], accepted[last], said[last], chosen)
        return _seen(records, accepted, first[chosen], last[chosen])

    def _said(self, records: Records) -> Hashes:
        """Hash each reading's units and tags, in whatever order they stand."""
        units, tags = (self._hashes(records.columns.column(name)) for name in ("units", "tags"))
        return units + tags * _SPREAD

    def _hashes(self, maps: pa.MapArray) -> Hashes:
        offsets = np.asarray(maps.offsets)
        entries = Texts.of(maps.keys).hashes(self._key) * (Texts.of(maps.items).hashes(self._key) | _ONE)
        sums = np.concatenate((_NOTHING, np.cumsum(entries)))
        return np.asarray(sums[offsets[1:]] - sums[offsets[:-1]], dtype=np.uint64)

    def _make_room(self, more: int) -> None:
        """Keep a third of the places free, or the way to a free one gets long."""
        places = len(self._table)
        while 3 * (self._count + more) > 2 * places:
            places *= 2
        if places > len(self._table):
            table = np.zeros(places, dtype=_DEVICE)
            _move(self._table, table)
            self._table = table


def _first_and_last(devices: Hashes, wanted: Hashes) -> tuple[Int64, Int64]:
    """Find where each wanted device stands first and last in a batch, in the order of the latter."""
    theirs = np.flatnonzero(np.isin(devices, wanted))
    _, first = np.unique(devices[theirs], return_index=True)
    _, from_behind = np.unique(devices[theirs[::-1]], return_index=True)
    last = theirs[::-1][from_behind]
    order = np.argsort(last)
    return theirs[first][order], last[order]


def _seen(records: Records, accepted: Int64, first: Int64, last: Int64) -> list[DeviceSeen]:
    if not len(last):
        return []
    columns = records.columns.select(["device_id", "units", "tags"]).take(pa.array(last))
    said = zip(*(column.to_pylist() for column in columns.columns), strict=True)
    when = zip(accepted[first].tolist(), accepted[last].tolist(), strict=True)
    return [
        DeviceSeen(device_id, from_micros(began), from_micros(ended), units=dict(units), tags=dict(tags))
        for (device_id, units, tags), (began, ended) in zip(said, when, strict=True)
    ]


# -- loops -------------------------------------------------------------------------------------------------------------

_NOTHING = np.zeros(1, dtype=np.uint64)
_ONE = np.uint64(1)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_TABLE = types.Array(from_dtype(_DEVICE), 1, "C")
_INT64S = types.Array(types.int64, 1, "C")
_INT64S_READ = types.Array(types.int64, 1, "C", readonly=True)
_HASHES = types.Array(types.uint64, 1, "C")
_BOOLS = types.Array(types.bool_, 1, "C")


@inner
def _place(table: Table, device: np.uint64) -> np.uint64:
    """Find where a device stands, or the free place where it would."""
    mask = np.uint64(len(table) - 1)
    place = device & mask
    while table[place].hash and table[place].hash != device:
        place = (place + _ONE) & mask
    return place


@inner
def _worth_writing(table: Table, place: np.uint64, when: int, said: np.uint64) -> bool:
    device = table[place]
    if device.hash == 0 or when >= device.due:
        return True
    return bool(said != device.said and when - device.written >= CHANGES_US)


@compiled(types.int64(_TABLE, _HASHES, _INT64S_READ, _HASHES, _INT64S))
def _look(table: Table, devices: Hashes, accepted: Int64, said: Hashes, found: Int64) -> int:
    """Find the readings that say something worth writing; give how many (mostly none). Nothing is changed."""
    mask = np.uint64(len(table) - 1)
    # Memory answers late, but it answers many questions at once: this loop asks for what the next one needs.
    for position in range(len(devices)):
        found[position] = table[devices[position] & mask].due
    count = 0
    for position in range(len(devices)):
        place = _place(table, devices[position])
        if _worth_writing(table, place, accepted[position], said[position]):
            found[count] = position
            count += 1
    return count


@compiled(types.int64(_TABLE, _HASHES, _INT64S, _HASHES, _BOOLS))
def _choose(table: Table, devices: Hashes, accepted: Int64, said: Hashes, chosen: Bools) -> int:
    """Say of each device, by its last reading, whether it is written, and note that; give how many are new."""
    new = 0
    for position in range(len(devices)):
        place = _place(table, devices[position])
        device, when = table[place], accepted[position]
        chosen[position] = _worth_writing(table, place, when, said[position])
        if not chosen[position]:
            continue
        new += device.hash == 0
        device.hash = devices[position]
        device.said = said[position]
        device.written = when
        # The hash is as good as a random number.
        device.due = when + REFRESH_US - np.int64((device.hash >> np.uint64(1)) % np.uint64(REFRESH_US // 2))
    return new


@compiled(types.void(_TABLE, _TABLE))
def _move(table: Table, larger: Table) -> None:
    for position in range(len(table)):
        if table[position].hash:
            larger[_place(larger, table[position].hash)] = table[position]
