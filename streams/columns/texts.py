"""Arrow's columns of text as arrays, and a hash of each text."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from streams.columns.compiled import compiled, inner

Int32 = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
BOUNDS = types.Array(types.int32, 1, "C", readonly=True)
HASHES = types.Array(types.uint64, 1, "C")


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts in UTF-8: text i is `data[bounds[i]:bounds[i + 1]]`."""

    bounds: Int32
    data: Bytes

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @classmethod
    def of(cls, column: pa.Array) -> "Texts":
        """Look into a column of strings without nulls; nothing is copied."""
        _, bounds, data = column.buffers()
        if bounds is None or not len(column):  # Arrow leaves out what would be empty
            return cls.empty(len(column))
        first = column.offset
        return cls(
            np.frombuffer(bounds, dtype=np.int32)[first : first + len(column) + 1],
            _NO_BYTES if data is None else np.frombuffer(data, dtype=np.uint8),
        )

    @classmethod
    def empty(cls, count: int) -> "Texts":
        """Give that many empty texts."""
        return cls(np.zeros(count + 1, dtype=np.int32), _NO_BYTES)

    def lengths(self) -> Int32:
        """Give the length of each text in bytes."""
        return np.diff(self.bounds)

    def hashes(self, key: Hashes) -> Hashes:
        """Hash each text (SipHash-1-3 under a key of two numbers)."""
        found = np.empty(len(self), dtype=np.uint64)
        _hash(self.bounds, self.data, key, found)
        return found


_NO_BYTES: Bytes = np.empty(0, dtype=np.uint8)

# SipHash's four words before the key is mixed in: "somepseudorandomlygeneratedbytes".
_START = (
    np.uint64(0x736F6D6570736575),
    np.uint64(0x646F72616E646F6D),
    np.uint64(0x6C7967656E657261),
    np.uint64(0x7465646279746573),
)
Words = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


@inner
def _rotated(word: np.uint64, by: np.uint64) -> np.uint64:
    return (word << by) | (word >> (np.uint64(64) - by))


@inner
def _mixed(words: Words) -> Words:
    a, b, c, d = words
    a += b
    b = _rotated(b, np.uint64(13)) ^ a
    a = _rotated(a, np.uint64(32))
    c += d
    d = _rotated(d, np.uint64(16)) ^ c
    a += d
    d = _rotated(d, np.uint64(21)) ^ a
    c += b
    b = _rotated(b, np.uint64(17)) ^ c
    c = _rotated(c, np.uint64(32))
    return a, b, c, d


@inner
def _taken(words: Words, word: np.uint64) -> Words:
    a, b, c, d = words
    a, b, c, d = _mixed((a, b, c, d ^ word))
    return a ^ word, b, c, d


@inner
def _read(data: Bytes, at: np.uint64, length: np.uint64) -> np.uint64:
    """Read up to eight bytes, the first of them the lowest."""
    word = np.uint64(0)
    for place in range(length):
        word |= np.uint64(data[at + np.uint64(place)]) << (np.uint64(8) * np.uint64(place))
    return word


@compiled(types.void(BOUNDS, BYTES, types.Array(types.uint64, 1, "C"), HASHES))
def _hash(bounds: Int32, data: Bytes, key: Hashes, found: Hashes) -> None:
    for text in range(len(found)):
        length = np.uint64(bounds[text + 1] - bounds[text])
        at = np.uint64(bounds[text])
        words = (_START[0] ^ key[0], _START[1] ^ key[1], _START[2] ^ key[0], _START[3] ^ key[1])
        for _ in range(length >> np.uint64(3)):
            words = _taken(words, _read(data, at, np.uint64(8)))
            at += np.uint64(8)
        rest = length & np.uint64(7)
        a, b, c, d = _taken(words, _read(data, at, rest) | (length << np.uint64(56)))
        words = (a, b, c ^ np.uint64(0xFF), d)
        for _ in range(3):
            words = _mixed(words)
        found[text] = words[0] ^ words[1] ^ words[2] ^ words[3]
