"""Loops over texts: whether each may be a name, and whether one comes twice in a map."""

import re

import numpy as np
import numpy.typing as npt
from numba import types

from schemas.fields import FORBIDDEN_IN_NAMES, NAME_LENGTH
from streams.columns.compiled import compiled
from streams.columns.texts import BOUNDS, BYTES, Bytes, Int32, Texts

Bool = npt.NDArray[np.bool_]

# Which of the first 256 characters of Unicode no name may have; every later one is accepted.
_FORBIDDEN = np.array([re.match(f"[{FORBIDDEN_IN_NAMES}]", chr(code)) is not None for code in range(256)])

# Looking at each pair takes less time than sorting only where there are few.
FEW_ENTRIES = 64

_BOOLS = types.Array(types.boolean, 1, "C")


def bad_names(texts: Texts) -> Bool:
    """Say which texts are no names: too short or too long, or with a character that names do not have."""
    found = np.empty(len(texts), dtype=np.bool_)
    _bad_names(texts.bounds, texts.data, _FORBIDDEN, NAME_LENGTH, found)
    return found


def key_twice(offsets: Int32, keys: Texts) -> Bool:
    """Say in which maps, each of `FEW_ENTRIES` at the most, a key comes twice; map i has the keys from offset i on."""
    found = np.empty(len(offsets) - 1, dtype=np.bool_)
    _key_twice(offsets, keys.bounds, keys.data, found)
    return found


# UTF-8: where the bytes of characters of several bytes begin, where the first bytes of those begin, and the last first
# byte of the first 256 characters.
_SEVERAL, _FIRST_OF_SEVERAL, _LAST_OF_256 = 0x80, 0xC0, 0xC3


@compiled(types.void(BOUNDS, BYTES, _BOOLS, types.int64, _BOOLS))
def _bad_names(bounds: Int32, data: Bytes, forbidden: Bool, longest: int, found: Bool) -> None:
    for text in range(len(found)):
        characters = 0
        bad = False
        for at in range(bounds[text], bounds[text + 1]):
            byte = data[np.uint64(at)]
            if byte < _SEVERAL:
                characters += 1
                bad |= forbidden[byte]
            elif byte >= _FIRST_OF_SEVERAL:  # and not one that follows
                characters += 1
                if byte <= _LAST_OF_256:
                    bad |= forbidden[((byte & 0x03) << 6) | (data[np.uint64(at + 1)] & 0x3F)]
        found[text] = bad or characters < 1 or characters > longest


@compiled(types.void(BOUNDS, BOUNDS, BYTES, _BOOLS))
def _key_twice(offsets: Int32, bounds: Int32, data: Bytes, found: Bool) -> None:
    for owner in range(len(found)):
        twice = False
        for one in range(offsets[owner], offsets[owner + 1]):
            length = bounds[one + 1] - bounds[one]
            for other in range(one + 1, offsets[owner + 1]):
                if bounds[other + 1] - bounds[other] != length:
                    continue
                place = 0
                while place < length and data[bounds[one] + place] == data[bounds[other] + place]:
                    place += 1
                twice |= place == length
        found[owner] = twice
