"""Which schemas a topic's subject has, and whether one is among them or fits. Pure."""

import json
from typing import Any

from schemas.compatibility import incompatibilities
from schemas.registry import SchemaVersion
from schemas.topics import SUBJECTS

# The registry's own codes.
SUBJECT_NOT_FOUND, VERSION_NOT_FOUND, SCHEMA_NOT_FOUND = 40401, 40402, 40403
INVALID_SCHEMA, READ_ONLY = 42201, 42205


class RegistryError(Exception):
    """What a registry says when something is wrong."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def parse(text: bytes) -> Any:  # noqa: ANN401  # JSON
    """Read what a client sends: `{"schema": the text of a schema}`.

    Raises:
        RegistryError: it is none.

    """
    try:
        wanted = json.loads(text)
        if wanted.get("schemaType", "AVRO") not in {"AVRO", None}:
            raise RegistryError(INVALID_SCHEMA, "schemas are of the type AVRO")
        return json.loads(wanted["schema"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(INVALID_SCHEMA, "the schema cannot be read") from None


def versions(subject: str) -> tuple[SchemaVersion, ...]:
    """Give the versions of a subject, the oldest first. Raises `RegistryError`."""
    if subject not in SUBJECTS:
        raise RegistryError(SUBJECT_NOT_FOUND, f"Subject {ascii(subject)[1:-1][:200]} not found")
    return SUBJECTS[subject]


def version(subject: str, written: str) -> SchemaVersion:
    """Give one version, by its number or as the latest. Raises `RegistryError`."""
    there = versions(subject)
    if written in {"latest", "-1"}:
        return there[-1]
    found = next((one for one in there if str(one.version) == written), None)
    if found is None:
        raise RegistryError(VERSION_NOT_FOUND, f"Version {ascii(written)[1:-1][:20]} not found")
    return found


def same(subject: str, given: object) -> SchemaVersion:
    """Find a schema among the versions of a subject. Raises `RegistryError`."""
    for one in reversed(versions(subject)):
        if _is(one, given):
            return one
    raise RegistryError(SCHEMA_NOT_FOUND, "Schema not found")


def _is(one: SchemaVersion, given: object) -> bool:
    try:
        return _bare(json.loads(one.text)) == _bare(given)
    except RecursionError:
        return False


def _bare(schema: object) -> object:
    """Leave out remarks, which say nothing about the bytes."""
    if isinstance(schema, dict):
        return {name: _bare(part) for name, part in schema.items() if name != "doc"}
    return [_bare(part) for part in schema] if isinstance(schema, list) else schema


def incompatible(written: SchemaVersion, given: object) -> list[str]:
    """Say what of a version's data a schema cannot read. Raises `RegistryError`."""
    try:
        return incompatibilities(json.loads(written.text), given)
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(INVALID_SCHEMA, "the schema cannot be read") from None


def described(subject: str, one: SchemaVersion) -> dict[str, object]:
    """Say all of a version."""
    return {"subject": subject, "version": one.version, "id": one.wire_id, "schema": one.text}
