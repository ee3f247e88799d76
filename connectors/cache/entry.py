"""One kept answer, and the bytes it becomes outside: never pickle, and never believed before they are checked.

Bytes: `TGC`, a version byte, a CRC-32 of the rest (4, big-endian), and the entry as JSON, compressed (RFC 1950).
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import TidegateError

V = TypeVar("V", bound=BaseModel)

MAGIC: Final = b"TGC\x01"
_HEAD: Final = struct.Struct(">4sI")
# An entry has so many bytes at the most, as JSON and in compressed form.
MOST_BYTES: Final = 256 * 1024
_LEVEL: Final = 3  # of compression: small texts gain nothing from more


class CorruptEntryError(TidegateError):
    """Bytes from a cache are no entry of ours, or not the one that was asked for."""


class TooLargeError(TidegateError):
    """An answer has more bytes than a cache keeps of one."""


@dataclass(frozen=True, slots=True)
class Key:
    """Under what an answer is kept: `digest` is a SHA-256 (hexadecimal) of all that it depends on, tenant included."""

    tenant: str
    digest: str


class Entry(BaseModel, Generic[V]):
    """An answer, or (`refused`) why there is none. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tenant: Annotated[str, Field(max_length=128)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    # One of these two is there.
    value: V | None = None
    refused: Annotated[str, Field(max_length=200)] | None = None
    made: Annotated[float, Field(ge=0)]
    # From here on it is stale, and asked about again in the background; later it is not there any more.
    fresh_until: Annotated[float, Field(ge=0)]
    expires: Annotated[float, Field(ge=0)]

    @property
    def key(self) -> Key:
        """Under what it is kept."""
        return Key(self.tenant, self.digest)


@dataclass(frozen=True, slots=True)
class Codec(Generic[V]):
    """Entries of one type of answer, as bytes and back."""

    type: type[V]

    def encode(self, entry: Entry[V]) -> bytes:
        """Give the bytes of an entry.

        Raises:
            TooLargeError: there are more than `MOST_BYTES`.

        """
        text = entry.model_dump_json(exclude_none=True).encode()
        if len(text) > MOST_BYTES:
            raise TooLargeError(f"{len(text)} bytes; {MOST_BYTES} are kept of one answer at the most")
        packed = zlib.compress(text, _LEVEL)
        return _HEAD.pack(MAGIC, zlib.crc32(packed)) + packed

    def decode(self, data: bytes, key: Key) -> Entry[V]:
        """Read the entry that is kept under `key`, whoever wrote these bytes.

        Raises:
            CorruptEntryError: they are not one.

        """
        if not _HEAD.size < len(data) <= MOST_BYTES:
            raise CorruptEntryError(f"{len(data)} bytes are no entry")
        magic, checksum = _HEAD.unpack_from(data)
        packed = memoryview(data)[_HEAD.size :]
        if magic != MAGIC or checksum != zlib.crc32(packed):
            raise CorruptEntryError("the bytes are not as they were written")
        try:
            entry = Entry[self.type].model_validate_json(_unpacked(packed))  # type: ignore[name-defined]  # known only at run time
        except (ValidationError, zlib.error, RecursionError) as error:
            raise CorruptEntryError(f"what was kept is no answer ({type(error).__name__})") from None
        if entry.key != key or (entry.value is None) is (entry.refused is None):
            raise CorruptEntryError("it is the entry of something else")
        return entry


def _unpacked(packed: memoryview) -> bytes:
    # A few bytes can unpack to gigabytes.
    stream = zlib.decompressobj()
    text = stream.decompress(packed, MOST_BYTES)
    if not stream.eof or stream.unused_data:
        raise CorruptEntryError("it does not end where it should")
    return text
