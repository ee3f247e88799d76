"""Names, numbered densely in the order of their first appearance: a look-up makes no Python object.

A name is a pair of texts (a device and its metric). The bytes of all names stand one after the other in one array; a
table with open addressing leads from a hash to a number, and the bytes decide. The hashes' key is drawn at random, so
that nobody can choose names that collide; the numbers do not depend on it.
"""

import secrets

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from streams.columns.compiled import compiled, inner
from streams.columns.growth import grown
from streams.columns.texts import BOUNDS, BYTES, Bytes, Hashes, Int32, Texts

Int64 = npt.NDArray[np.int64]
Name = tuple[str, str]

_FEWEST = 256
PAIRS = pa.list_(pa.string(), 2)


class Names:
    """Pairs of texts and their numbers; names are added and never removed."""

    def __init__(self) -> None:
        """Start with no names."""
        self._key = np.array([secrets.randbits(64), secrets.randbits(64)], dtype=np.uint64)
        self._count = 0
        # Two texts a name: those of name i begin at 2i and 2i + 1, and end where the next text begins.
        self._begins = np.zeros(2 * _FEWEST + 1, dtype=np.int64)
        self._bytes = np.empty(16 * _FEWEST, dtype=np.uint8)
        self._hashes = np.empty(_FEWEST, dtype=np.uint64)
        # Of each place, the hash's upper half and below it the number of its name + 1; 0 is a free place.
        self._places = np.zeros(2 * _FEWEST, dtype=np.uint64)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Name:
        """Give a name by its number."""
        if not 0 <= number < self._count:
            raise IndexError(number)
        first, second, end = self._begins[2 * number : 2 * number + 3].tolist()
        return self._bytes[first:second].tobytes().decode(), self._bytes[second:end].tobytes().decode()

    def numbers(self, first: Texts, second: Texts) -> Int64:
        """Find the number of each pair; one that is new gets the next number."""
        hashes = first.hashes(self._key)
        hashes ^= second.hashes(self._key) * _ODD
        numbers, warm = np.empty((2, len(hashes)), dtype=np.int64)
        texts = (first.bounds, first.data, second.bounds, second.data)
        missing = _find(hashes, *texts, self._places, self._begins, self._bytes, numbers, warm)
        if missing:
            new = numbers == _NEW
            self._make_room(missing, int(first.lengths()[new].sum() + second.lengths()[new].sum()))
            arrays = (self._places, self._begins, self._bytes, self._hashes)
            self._count = int(_add(hashes, *texts, *arrays, self._count, numbers))
        return numbers

    def column(self, start: int, stop: int) -> pa.FixedSizeListArray:
        """Give names of consecutive numbers as one column of pairs; their bytes are not copied."""
        begins = self._begins[2 * start : 2 * stop + 1]
        bounds = (begins - begins[0]).astype(np.int32)
        data = self._bytes[begins[0] : begins[-1]]
        texts = pa.StringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(data))
        return pa.FixedSizeListArray.from_arrays(texts, type=PAIRS)

    def _make_room(self, names: int, size: int) -> None:
        count = self._count + names
        self._begins = grown(self._begins, 2 * count + 1)
        self._bytes = grown(self._bytes, int(self._begins[2 * self._count]) + size)
        self._hashes = grown(self._hashes, count)
        # At most two thirds of the places are taken, or the way to a free one gets long.
        if 3 * count > 2 * len(self._places):
            places = len(self._places)
            while 3 * count > 2 * places:
                places *= 2
            self._places = np.zeros(places, dtype=np.uint64)
            _place(self._hashes, self._count, self._places)


# -- loops -------------------------------------------------------------------------------------------------------------

_ODD = np.uint64(0x9E3779B97F4A7C15)
_HASHES = types.Array(types.uint64, 1, "C")
_INT64S = types.Array(types.int64, 1, "C")
_UINT8S = types.Array(types.uint8, 1, "C")
_NEW = -1
_NUMBER = np.uint64(0xFFFFFFFF)

# Rows that are looked up together: what they touch fits into the fastest cache.
_TOGETHER = 256


@inner
def _read(data: Bytes, at: np.uint64) -> np.uint64:
    word = np.uint64(0)
    for place in range(8):
        word |= np.uint64(data[at + np.uint64(place)]) << np.uint64(8 * place)
    return word


@inner
def _same(known: Bytes, begin: int, data: Bytes, start: int, length: int) -> bool:
    here, there = np.uint64(begin), np.uint64(start)
    for _ in range(length >> 3):
        if _read(known, here) != _read(data, there):
            return False
        here += np.uint64(8)
        there += np.uint64(8)
    for place in range(length & 7):  # noqa: SIM110  # Numba compiles no generators
        if known[here + np.uint64(place)] != data[there + np.uint64(place)]:
            return False
    return True


@inner
def _likely(places: Hashes, place: np.uint64, sought: np.uint64) -> np.uint64:
    """Find, from a place on, the next that is free or has the same upper half of the hash."""
    mask = np.uint64(len(places) - 1)
    place &= mask
    while places[place] and (places[place] ^ sought) >> np.uint64(32):
        place = (place + np.uint64(1)) & mask
    return place


@inner
def _decided(  # noqa: PLR0913, PLR0917  # compiled loops take their columns one by one
    row: int,
    place: np.uint64,
    hashes: Hashes,
    first: Int32,
    first_data: Bytes,
    second: Int32,
    second_data: Bytes,
    places: Hashes,
    begins: Int64,
    known: Bytes,
) -> int:
    """Compare the bytes of a row with those of the names that its hash leads to, from a likely place on."""
    while places[place]:
        number = np.int64(places[place] & _NUMBER) - 1
        begin, middle, end = begins[2 * number], begins[2 * number + 1], begins[2 * number + 2]
        start, other = first[row], second[row]
        if (
            middle - begin == first[row + 1] - start
            and end - middle == second[row + 1] - other
            and _same(known, begin, first_data, start, middle - begin)
            and _same(known, middle, second_data, other, end - middle)
        ):
            return int(number)
        place = _likely(places, place + np.uint64(1), hashes[row])
    return _NEW


@compiled(types.int64(_HASHES, BOUNDS, BYTES, BOUNDS, BYTES, _HASHES, _INT64S, _UINT8S, _INT64S, _INT64S))
def _find(  # noqa: PLR0913, PLR0917  # compiled loops take their columns one by one
    hashes: Hashes,
    first: Int32,
    first_data: Bytes,
    second: Int32,
    second_data: Bytes,
    places: Hashes,
    begins: Int64,
    known: Bytes,
    numbers: Int64,
    warm: Int64,
) -> int:
    """Find the number of each name, or -1; give how many were not found."""
    mask = np.uint64(len(places) - 1)
    missing = 0
    for start in range(0, len(hashes), _TOGETHER):
        end = min(start + _TOGETHER, len(hashes))
        # Memory answers late, but it answers many questions at once: each loop asks for what the next one needs.
        for row in range(start, end):
            numbers[row] = np.int64(places[hashes[row] & mask])
        for row in range(start, end):
            numbers[row] = np.int64(_likely(places, hashes[row], hashes[row]))
        for row in range(start, end):
            number = np.int64(places[np.uint64(numbers[row])] & _NUMBER) - 1
            warm[row] = begins[2 * number] if number > 0 else 0
        for row in range(start, end):
            warm[row] = known[warm[row]]
        for row in range(start, end):
            numbers[row] = _decided(
                row,
                np.uint64(numbers[row]),
                hashes,
                first,
                first_data,
                second,
                second_data,
                places,
                begins,
                known,
            )
            missing += numbers[row] == _NEW
    return missing


@compiled(types.int64(_HASHES, BOUNDS, BYTES, BOUNDS, BYTES, _HASHES, _INT64S, _UINT8S, _HASHES, types.int64, _INT64S))
def _add(  # noqa: PLR0913, PLR0917  # compiled loops take their columns one by one
    hashes: Hashes,
    first: Int32,
    first_data: Bytes,
    second: Int32,
    second_data: Bytes,
    places: Hashes,
    begins: Int64,
    known: Bytes,
    known_hashes: Hashes,
    count: int,
    numbers: Int64,
) -> int:
    """Give numbers to the names that `_find` did not find, in the order of the rows; give how many there are now."""
    for row in range(len(hashes)):
        if numbers[row] != _NEW:
            continue
        place = _likely(places, hashes[row], hashes[row])
        # An earlier row may have brought it.
        numbers[row] = _decided(row, place, hashes, first, first_data, second, second_data, places, begins, known)
        if numbers[row] != _NEW:
            continue
        while places[place]:
            place = (place + np.uint64(1)) & np.uint64(len(places) - 1)
        places[place] = (hashes[row] & ~_NUMBER) | np.uint64(count + 1)
        known_hashes[count] = hashes[row]
        end = begins[2 * count]
        for at in range(first[row], first[row + 1]):
            known[end] = first_data[at]
            end += 1
        begins[2 * count + 1] = end
        for at in range(second[row], second[row + 1]):
            known[end] = second_data[at]
            end += 1
        begins[2 * count + 2] = end
        numbers[row] = count
        count += 1
    return count


@compiled(types.void(_HASHES, types.int64, _HASHES))
def _place(hashes: Hashes, count: int, places: Hashes) -> None:
    """Fill an empty table."""
    mask = np.uint64(len(places) - 1)
    for number in range(count):
        place = hashes[number] & mask
        while places[place]:
            place = (place + np.uint64(1)) & mask
        places[place] = (hashes[number] & ~_NUMBER) | np.uint64(number + 1)
