"""Whether data written with one Avro schema can be read with another: the specification's schema resolution.

https://avro.apache.org/docs/1.12.0/specification/#schema-resolution. In one thing it is stricter: a logical type may
not change, because Avro would let microseconds be read as milliseconds.
"""

from typing import Any

Schema = Any  # JSON: a name, a list (a union) or an object
Named = dict[str, Schema]

# What a reader may expect where the writer wrote the type before the colon.
PROMOTIONS: dict[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
NAMED = frozenset({"record", "enum", "fixed"})


def incompatibilities(writer: Schema, reader: Schema) -> list[str]:
    """Give what in `writer`'s data `reader` cannot read, each with its place; nothing when all can be read."""
    return _Resolution(_named(writer), _named(reader)).check(writer, reader, "")


def _named(schema: Schema) -> Named:
    """Find the definitions that a schema refers to by name."""
    found: Named = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= _named(branch)
    elif isinstance(schema, dict):
        if schema["type"] in NAMED:
            found[schema["name"]] = schema
            # References may carry the namespace.
            found[f"{schema.get('namespace', '')}.{schema['name']}"] = schema
        for part in ("items", "values"):
            found |= _named(schema.get(part))
        for field in schema.get("fields", ()):
            found |= _named(field["type"])
    return found


class _Resolution:
    """One writer's schema against one reader's."""

    def __init__(self, writer_names: Named, reader_names: Named) -> None:
        """Take the definitions that either refers to by name."""
        self._writer_names = writer_names
        self._reader_names = reader_names
        self._under_way: set[tuple[str, str]] = set()

    def check(self, writer: Schema, reader: Schema, place: str) -> list[str]:
        """Resolve one type at one place."""
        writer, reader = _plain(writer, self._writer_names), _plain(reader, self._reader_names)
        if isinstance(writer, list):
            return [problem for branch in writer for problem in self.check(branch, reader, place)]
        if isinstance(reader, list):
            if any(not self.check(writer, branch, place) for branch in reader):
                return []
            return [f"{place}: no branch of the union takes {_described(writer)}"]
        return self._check_plain(writer, reader, place)

    def _check_plain(self, writer: Named, reader: Named, place: str) -> list[str]:
        kind = writer["type"]
        # A promoted number stays what it was only if it has no other meaning.
        same = reader["type"] in {kind, *PROMOTIONS.get(kind, ())} and _meaning(writer) == _meaning(reader)
        if not same or (kind in NAMED and writer["name"] not in _names(reader)):
            return [f"{place}: {_described(writer)} became {_described(reader)}"]
        if kind == "array":
            return self.check(writer["items"], reader["items"], f"{place}[]")
        if kind == "map":
            return self.check(writer["values"], reader["values"], f"{place}{{}}")
        if kind == "record":
            return self._check_record(writer, reader, place)
        if kind == "fixed" and writer["size"] != reader["size"]:
            return [f"{place}: the size of {writer['name']} changed"]
        lost = sorted(set(writer.get("symbols", ())) - set(reader.get("symbols", ())))
        return [f"{place}: {writer['name']} lost {lost}"] if lost and "default" not in reader else []

    def _check_record(self, writer: Named, reader: Named, place: str) -> list[str]:
        pair = (writer["name"], reader["name"])
        if pair in self._under_way:  # a record inside itself: the outer look decides
            return []
        self._under_way.add(pair)
        problems = self._check_fields(writer, reader, place)
        self._under_way.remove(pair)
        return problems

    def _check_fields(self, writer: Named, reader: Named, place: str) -> list[str]:
        written = {field["name"]: field for field in writer["fields"]}
        problems = []
        for field in reader["fields"]:
            here = f"{place}.{field['name']}"
            source = next((written[name] for name in _names(field) if name in written), None)
            if source is not None:
                problems += self.check(source["type"], field["type"], here)
            elif "default" not in field:
                problems.append(f"{here}: new, without a default")
        return problems


def _plain(schema: Schema, names: Named) -> Schema:
    """Write a type out as an object, whether it was an object, a name of ours or one of Avro's; a union stays."""
    return names.get(schema, {"type": schema}) if isinstance(schema, str) else schema


def _names(schema: Named) -> list[str]:
    return [schema["name"], *(alias.rpartition(".")[2] for alias in schema.get("aliases", ()))]


def _meaning(schema: Named) -> str | None:
    meaning: str | None = schema.get("logicalType")
    return meaning


def _described(schema: Named) -> str:
    return " ".join(str(schema[part]) for part in ("type", "name", "logicalType") if part in schema)
