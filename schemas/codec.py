"""Records to bytes and back, in Confluent's wire format: a zero byte, four bytes of schema id, the Avro body.

The format: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html
"""

import io
import struct
from typing import Any, TypeVar

import fastavro
from fastavro.read import SchemaResolutionError
from pydantic import ValidationError

from schemas.errors import PoisonError
from schemas.models import Record
from schemas.registry import CURRENT, SchemaVersion, of_wire_id

R = TypeVar("R", bound=Record)

MAGIC = 0
HEADER = struct.Struct(">bI")

# What fastavro raises on bytes that are not what they claim to be.
_UNREADABLE = (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, SchemaResolutionError, MemoryError)


def frame(schema_id: int) -> bytes:
    """Make the five bytes that stand before every body of this schema."""
    return HEADER.pack(MAGIC, schema_id)


def encode(record: Record) -> bytes:
    """Write one record with the current version of its schema."""
    version = CURRENT[type(record)]
    out = io.BytesIO()
    out.write(frame(version.wire_id))
    fastavro.schemaless_writer(out, version.parsed, record.model_dump())
    return out.getvalue()


def schema_of(data: bytes) -> SchemaVersion:
    """Find the schema that `data` names.

    Raises:
        PoisonError: the framing is not Confluent's, or the id is none of ours.

    """
    if len(data) < HEADER.size:
        raise PoisonError("framing", f"{len(data)} bytes are too few for the magic byte and a schema id")
    magic, schema_id = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise PoisonError("framing", f"the first byte is {magic}, not {MAGIC}")
    version = of_wire_id(schema_id)
    if version is None:
        raise PoisonError("schema", f"unknown schema id {schema_id}")
    return version


def decode_dict(data: bytes, reader: SchemaVersion) -> dict[str, Any]:
    """Read one record as a dictionary with the fields of `reader`, without the models' rules.

    Raises:
        PoisonError: framing, schema or body are not usable, bytes are left over, or a key of a map comes twice.

    """
    writer = schema_of(data)
    if writer.name != reader.name:
        raise PoisonError("schema", f"a {writer.name} where a {reader.name} was expected")
    body = io.BytesIO(data)
    body.seek(HEADER.size)
    try:
        record: dict[str, Any] = fastavro.schemaless_reader(body, writer.parsed_as_entries, reader.parsed_as_entries)  # type: ignore[assignment]  # a record schema gives a dict
    except _UNREADABLE as error:
        raise PoisonError("avro", f"{type(error).__name__}: {error}") from error
    left_over = len(data) - body.tell()
    if left_over:
        raise PoisonError("avro", f"{left_over} bytes after the record")
    return {name: _map(name, field) if name in reader.maps else field for name, field in record.items()}


def _map(name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    found = {entry["key"]: entry["value"] for entry in entries}
    if len(found) != len(entries):
        raise PoisonError("twice", f"a name comes twice in {name}")
    return found


def decode(data: bytes, model: type[R]) -> R:
    """Read one record and check it by the rules of its model.

    Raises:
        PoisonError: as `decode_dict`, or the record breaks a rule of the model.

    """
    record = decode_dict(data, CURRENT[model])
    try:
        return model.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PoisonError("invalid", f"{where}: {first['msg']}") from error
