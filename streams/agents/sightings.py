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
from streams.columns.compiled import compiled
from streams.columns.texts import Texts

Int64 = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Table = npt.NDArray[np.void]

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
        ("first", np.int64),  # its first and its last reading in the latest batch that it stood in,
        ("last", np.int64),  # counted over all batches from 1 on
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
        self._next = 1

    def of(self, records: Records, batch: RawBatch) -> list[DeviceSeen]:
        """Give the devices of a batch that have to be written, each with its units and tags of the latest reading."""
        if not len(records):
            return []
        self._make_room(len(records))
        devices = np.maximum(Texts.of(records.columns.column("device_id")).hashes(self._key), _ONE)
        accepted = batch.accepted[records.positions]
        first, last = np.empty((2, len(records)), dtype=np.int64)
        self._count += _take(self._table, devices, self._next, first)
        count = _choose(self._table, first, accepted, self._said(records), self._next, last)
        self._next += len(records)
        return _seen(records, accepted, first[:count], last[:count])

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
_ALWAYS = np.iinfo(np.int64).min


@compiled(types.int64(_TABLE, _HASHES, types.int64, _INT64S))
def _take(table: Table, devices: Hashes, start: int, places: Int64) -> int:
    """Note where each device stands first and last; give the place of each reading's device, and how many are new."""
    mask = np.uint64(len(table) - 1)
    # Memory answers late, but it answers many questions at once: this loop asks for what the next one needs.
    for position in range(len(devices)):
        places[position] = table[devices[position] & mask].last
    new = 0
    for position in range(len(devices)):
        place = devices[position] & mask
        while table[place].hash != devices[position]:
            if table[place].hash == 0:
                table[place].hash = devices[position]
                table[place].due = _ALWAYS
                new += 1
                break
            place = (place + _ONE) & mask
        table[place].last = start + position
        if table[place].first < start:
            table[place].first = start + position
        places[position] = np.int64(place)
    return new


@compiled(types.int64(_TABLE, _INT64S, _INT64S_READ, _HASHES, types.int64, _INT64S))
def _choose(table: Table, first: Int64, accepted: Int64, said: Hashes, start: int, last: Int64) -> int:
    """Choose the devices to be written, from the place of each reading's device; give how many there are.

    `first` and `last` then say where each of them stands first and last in the batch.
    """
    count = 0
    for position in range(len(first)):
        device = table[first[position]]
        if device.last != start + position:
            continue
        when = accepted[position]
        if when < device.due and (said[position] == device.said or when - device.written < CHANGES_US):
            continue
        device.said = said[position]
        device.written = when
        # The hash is as good as a random number.
        device.due = when + REFRESH_US - np.int64((device.hash >> np.uint64(1)) % np.uint64(REFRESH_US // 2))
        first[count] = device.first - start
        last[count] = position
        count += 1
    return count


@compiled(types.void(_TABLE, _TABLE))
def _move(table: Table, larger: Table) -> None:
    mask = np.uint64(len(larger) - 1)
    for position in range(len(table)):
        if table[position].hash:
            place = table[position].hash & mask
            while larger[place].hash:
                place = (place + _ONE) & mask
            larger[place] = table[position]
