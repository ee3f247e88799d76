import struct
import zlib

import pytest
from pydantic import BaseModel

from connectors.cache.entry import MAGIC, MOST_BYTES, Codec, CorruptEntryError, Entry, Key, TooLargeError


class Text(BaseModel):
    text: str


KEY = Key("acme", "a" * 64)
CODEC = Codec(Text)


def entry(text: str = "words", key: Key = KEY) -> Entry[Text]:
    return Entry(tenant=key.tenant, digest=key.digest, value=Text(text=text), made=1.0, fresh_until=2.0, expires=3.0)


def packed(text: bytes) -> bytes:
    body = zlib.compress(text)
    return struct.pack(">4sI", MAGIC, zlib.crc32(body)) + body


def test_what_was_written_is_read() -> None:
    assert CODEC.decode(CODEC.encode(entry()), KEY) == entry()
    refused = Entry[Text](tenant="acme", digest="a" * 64, refused="number", made=1, fresh_until=2, expires=2)
    assert CODEC.decode(CODEC.encode(refused), KEY) == refused


@pytest.mark.parametrize("key", [Key("acme", "b" * 64), Key("rival", "a" * 64)])
def test_an_entry_of_another_key_or_tenant_is_none(key: Key) -> None:
    with pytest.raises(CorruptEntryError, match="something else"):
        CODEC.decode(CODEC.encode(entry()), key)


@pytest.mark.parametrize("position", range(0, 60, 3))
def test_a_byte_that_has_changed_is_noticed(position: int) -> None:
    data = bytearray(CODEC.encode(entry()))
    data[position] ^= 0x10
    with pytest.raises(CorruptEntryError):
        CODEC.decode(bytes(data), KEY)


def test_bytes_that_unpack_to_more_than_an_entry_has_are_none() -> None:
    bomb = packed(bytes(MOST_BYTES * 50))
    assert len(bomb) < MOST_BYTES
    with pytest.raises(CorruptEntryError, match="does not end"):
        CODEC.decode(bomb, KEY)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[" * 50_000,
        b'{"tenant":"acme"}',
        entry().model_dump_json().replace('"text"', '"other"').encode(),
        entry().model_dump_json().replace('"words"', "1").encode(),
        entry().model_dump_json().replace("1.0", "1e999").encode(),
        entry().model_dump_json().replace('"made"', '"more":1,"made"').encode(),
        Entry[Text](tenant="acme", digest="a" * 64, made=1, fresh_until=2, expires=3).model_dump_json().encode(),
        entry().model_dump_json().replace('"refused":null', '"refused":"number"').encode(),
    ],
)
def test_what_is_no_answer_is_no_entry(text: bytes) -> None:
    with pytest.raises(CorruptEntryError):
        CODEC.decode(packed(text), KEY)


@pytest.mark.parametrize("data", [b"", b"x", MAGIC, bytes(100), packed(b"{}")[:-1], packed(b"{}") + b"x"])
def test_other_bytes_are_no_entry(data: bytes) -> None:
    with pytest.raises(CorruptEntryError):
        CODEC.decode(data, KEY)


def test_what_is_too_large_is_not_kept() -> None:
    with pytest.raises(TooLargeError, match="at the most"):
        CODEC.encode(entry("x" * MOST_BYTES))
