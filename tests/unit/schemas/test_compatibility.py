"""Every published version can be read by the newest one of its name, and the check that says so notices what cannot."""

import copy
import io
import json

import fastavro
import pytest
from fastavro.read import SchemaResolutionError
from fastavro.utils import generate_many

from schemas.compatibility import Schema, incompatibilities
from schemas.registry import CURRENT, PUBLISHED, SchemaVersion


def parsed(schema: Schema) -> Schema:
    return fastavro.parse_schema(copy.deepcopy(schema), named_schemas={})


def reread(writer: Schema, reader: Schema, datum: Schema) -> Schema:
    data = io.BytesIO()
    fastavro.schemaless_writer(data, parsed(writer), datum)
    data.seek(0)
    return fastavro.schemaless_reader(data, parsed(writer), parsed(reader))


@pytest.mark.parametrize("version", PUBLISHED, ids=lambda version: f"{version.name}.v{version.version}")
def test_the_newest_version_reads_what_every_version_wrote(version: SchemaVersion) -> None:
    writer, newest = json.loads(version.text), json.loads(CURRENT[version.model].text)

    assert incompatibilities(writer, newest) == []
    for datum in generate_many(parsed(writer), 50):
        assert set(reread(writer, newest, datum)) == {field["name"] for field in newest["fields"]}


def record(*fields: dict[str, Schema], name: str = "R", **more: Schema) -> dict[str, Schema]:
    return {"type": "record", "name": name, "namespace": "tidegate", "fields": list(fields), **more}


def field(kind: Schema, name: str = "f", **more: Schema) -> dict[str, Schema]:
    return {"name": name, "type": kind, **more}


MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
INNER = record(field("long", "x"), name="Inner")
TREE = record(field("long", "x"), field({"type": "array", "items": "Tree"}, "of"), name="Tree")
COLOURS = {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}

COMPATIBLE: dict[str, tuple[Schema, Schema, Schema]] = {
    "nothing changed": (record(field("long")), record(field("long")), {"f": 1}),
    "a field with a default came": (record(), record(field("long", default=7)), {}),
    "a field went": (record(field("long")), record(), {"f": 1}),
    "the order changed": (
        record(field("long", "a"), field("string", "b")),
        record(field("string", "b"), field("long", "a")),
        {"a": 1, "b": "x"},
    ),
    "int to long": (record(field("int")), record(field("long")), {"f": 1}),
    "long to double": (record(field("long")), record(field("double")), {"f": 1}),
    "string to bytes": (record(field("string")), record(field("bytes")), {"f": "x"}),
    "a value became optional": (record(field("long")), record(field(["null", "long"])), {"f": 1}),
    "a union grew": (record(field(["null", "int"])), record(field(["null", "string", "long"])), {"f": 1}),
    "a field got a new name and an alias": (
        record(field("long")),
        record(field("long", "g", aliases=["f"])),
        {"f": 1},
    ),
    "an enum grew": (
        record(field(COLOURS)),
        record(field({**COLOURS, "symbols": ["GREEN", "RED", "BLUE"]})),
        {"f": "RED"},
    ),
    "items by name": (
        record(field(INNER, "a"), field({"type": "array", "items": "tidegate.Inner"})),
        record(field(INNER, "a"), field({"type": "array", "items": "Inner"})),
        {"a": {"x": 1}, "f": [{"x": 2}]},
    ),
    "a record inside itself": (TREE, TREE, {"x": 1, "of": [{"x": 2, "of": []}]}),
    "a type written out as an object": (record(field("long")), record(field({"type": "long"})), {"f": 1}),
}

INCOMPATIBLE: dict[str, tuple[Schema, Schema, Schema]] = {
    "a field without a default came": (record(), record(field("long")), {}),
    "a field got a new name": (record(field("long")), record(field("long", "g")), {"f": 1}),
    "another type": (record(field("string")), record(field("long")), {"f": "x"}),
    "long to int": (record(field("long")), record(field("int")), {"f": 2**40}),
    "double to long": (record(field("double")), record(field("long")), {"f": 0.5}),
    "an optional value became required": (record(field(["null", "long"])), record(field("long")), {"f": None}),
    "a union shrank": (
        record(field(["null", "string", "long"])),
        record(field(["null", "long"])),
        {"f": "x"},
    ),
    "other values in a map": (
        record(field({"type": "map", "values": "string"})),
        record(field({"type": "map", "values": "double"})),
        {"f": {"a": "x"}},
    ),
    "other items in an array": (
        record(field({"type": "array", "items": "string"})),
        record(field({"type": "array", "items": "double"})),
        {"f": ["x"]},
    ),
    "a record in an array grew a field": (
        record(field({"type": "array", "items": INNER})),
        record(field({"type": "array", "items": record(field("long", "x"), field("long", "y"), name="Inner")})),
        {"f": [{"x": 1}]},
    ),
    "an enum shrank": (
        record(field(COLOURS)),
        record(field({**COLOURS, "symbols": ["GREEN"]})),
        {"f": "RED"},
    ),
    "a fixed type grew": (
        record(field({"type": "fixed", "name": "F", "size": 2})),
        record(field({"type": "fixed", "name": "F", "size": 3})),
        {"f": b"xx"},
    ),
    "deep inside a record inside itself": (
        TREE,
        record(field("long", "x"), field({"type": "array", "items": "Tree"}, "of"), field("long", "new"), name="Tree"),
        {"x": 1, "of": []},
    ),
}

# What fastavro reads all the same, and what it must not become.
MISREAD: dict[str, tuple[Schema, Schema]] = {
    "microseconds to milliseconds": (record(field(MICROS)), record(field(MILLIS))),
    "an instant to a number": (record(field(MICROS)), record(field("long"))),
    "a number to an instant": (record(field("long")), record(field(MICROS))),
    "an instant to a promoted number": (record(field(MICROS)), record(field("double"))),
    "another record": (record(field("long")), record(field("long"), name="S")),
    "a union of records met twice": (
        record(field([INNER, "null"], "a"), field("Inner", "b")),
        record(
            field(["null", record(field("string", "x"), name="Inner")], "a"),
            field("Inner", "b"),
        ),
    ),
}


@pytest.mark.parametrize("change", COMPATIBLE)
def test_a_compatible_change_is_let_through_and_fastavro_reads_it(change: str) -> None:
    writer, reader, datum = COMPATIBLE[change]

    assert incompatibilities(writer, reader) == []
    assert set(reread(writer, reader, datum)) == {field["name"] for field in reader["fields"]}


@pytest.mark.parametrize("change", INCOMPATIBLE)
def test_an_incompatible_change_is_found_and_fastavro_cannot_read_it(change: str) -> None:
    writer, reader, datum = INCOMPATIBLE[change]

    assert incompatibilities(writer, reader)
    with pytest.raises((SchemaResolutionError, EOFError, ValueError)):
        reread(writer, reader, datum)


@pytest.mark.parametrize("change", MISREAD)
def test_a_change_of_meaning_is_found(change: str) -> None:
    writer, reader = MISREAD[change]

    assert incompatibilities(writer, reader)


def test_the_place_is_named() -> None:
    writer = json.loads(PUBLISHED[1].text)
    reader = copy.deepcopy(writer)
    samples = next(field for field in reader["fields"] if field["name"] == "samples")
    samples["type"]["items"]["fields"][1]["type"] = "string"

    assert incompatibilities(writer, reader) == [".samples[].value: double became string"]


def test_both_meetings_of_a_record_are_looked_at() -> None:
    writer, reader = MISREAD["a union of records met twice"]

    assert [problem.split(":")[0] for problem in incompatibilities(writer, reader)] == [".a", ".b.x"]
