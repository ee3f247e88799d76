"""Which Avro schema has which id: fixed, the same in every region, and never reused.

Only where the settings name a registry that gives ids of its own (`adopt`), records are written with those.

A version that has been published is never edited. A change is a new file `<name>.v<n+1>.avsc` with the next id, which
must be able to read what every earlier version wrote (a test proves it).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import fastavro

from schemas.models import AnalysisRequest, DeadLetter, Insight, Reading, Record

ParsedSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One published version of one record."""

    id: int
    name: str
    version: int
    model: type[Record]

    @property
    def wire_id(self) -> int:
        """The id that stands in front of records: its own, or that of the registry whose ids were adopted."""
        return _adopted.get(self.id, self.id)

    @property
    def text(self) -> str:
        """The schema as its file has it."""
        return _read(self.name, self.version)

    @property
    def parsed(self) -> ParsedSchema:
        """The schema as fastavro wants it."""
        return _parse(self.text)

    @property
    def maps(self) -> frozenset[str]:
        """The fields that are maps."""
        return _maps(self.text)

    @property
    def parsed_as_entries(self) -> ParsedSchema:
        """The same bytes read with every map as an array of its entries: only there a key that comes twice shows."""
        return _parse_as_entries(self.text)


@cache
def _read(name: str, version: int) -> str:
    return files("schemas").joinpath("avro", f"{name}.v{version}.avsc").read_text("utf-8")


@cache
def _parse(text: str) -> ParsedSchema:
    return _parsed(json.loads(text))


@cache
def _maps(text: str) -> frozenset[str]:
    return frozenset(field["name"] for field in json.loads(text)["fields"] if _is_map(field["type"]))


@cache
def _parse_as_entries(text: str) -> ParsedSchema:
    schema = json.loads(text)
    for field in schema["fields"]:
        if _is_map(field["type"]):
            entry = [{"name": "key", "type": "string"}, {"name": "value", "type": field["type"]["values"]}]
            items = {"type": "record", "name": f"{field['name']}_entry", "fields": entry}
            field.update({"type": {"type": "array", "items": items}, "default": []})
    return _parsed(schema)


def _is_map(kind: object) -> bool:
    return isinstance(kind, dict) and kind["type"] == "map"


def _parsed(schema: Any) -> ParsedSchema:  # noqa: ANN401  # JSON
    # named_schemas={}: without it fastavro shares names between schemas through a module-wide table.
    parsed: ParsedSchema = fastavro.parse_schema(schema, named_schemas={})  # type: ignore[assignment]  # a record is never a list
    return parsed


READING = SchemaVersion(7101, "reading", 1, Reading)
ANALYSIS_REQUEST_1 = SchemaVersion(7201, "analysis_request", 1, AnalysisRequest)
ANALYSIS_REQUEST_2 = SchemaVersion(7202, "analysis_request", 2, AnalysisRequest)
ANALYSIS_REQUEST = SchemaVersion(7203, "analysis_request", 3, AnalysisRequest)
INSIGHT = SchemaVersion(7301, "insight", 1, Insight)
DEAD_LETTER = SchemaVersion(7401, "dead_letter", 1, DeadLetter)

# Every version ever published, oldest first within a name; the last one of a name is written today.
PUBLISHED: tuple[SchemaVersion, ...] = (
    READING,
    ANALYSIS_REQUEST_1,
    ANALYSIS_REQUEST_2,
    ANALYSIS_REQUEST,
    INSIGHT,
    DEAD_LETTER,
)

BY_ID: dict[int, SchemaVersion] = {version.id: version for version in PUBLISHED}
CURRENT: dict[type[Record], SchemaVersion] = {version.model: version for version in PUBLISHED}

# The ids of a registry by ours, and what they stand for.
_adopted: dict[int, int] = {}
_by_adopted: dict[int, SchemaVersion] = {}


def adopt(ids: Mapping[int, int]) -> None:
    """Write records with the ids of a registry, given by ours, in this process from now on; both are read."""
    _adopted.clear()
    _adopted.update(ids)
    _by_adopted.clear()
    _by_adopted.update({theirs: BY_ID[ours] for ours, theirs in ids.items()})


def of_wire_id(schema_id: int) -> SchemaVersion | None:
    """Find the schema that a record names: by an id that was adopted, else by one of ours."""
    return _by_adopted.get(schema_id) or BY_ID.get(schema_id)
