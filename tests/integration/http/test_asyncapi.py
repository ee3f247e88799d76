"""What is said of the topics is what the code goes by, in the form that AsyncAPI wants."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest

from connectors.http.asyncapi import document
from connectors.mqtt import payloads
from schemas.registry import BY_ID
from schemas.topics import BY_NAME


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(document()))
    return made


def test_it_is_asyncapi_3(described: dict[str, Any], node_modules: Path) -> None:
    file = node_modules / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
    jsonschema.Draft7Validator(json.loads(file.read_text())).validate(described)


def test_every_topic_is_in_it_as_it_is(described: dict[str, Any]) -> None:
    channels = described["channels"]
    topics = {name: channel for name, channel in channels.items() if "kafka" in channel.get("bindings", {})}
    assert topics.keys() == BY_NAME.keys()
    for name, channel in topics.items():
        (message,) = channel["messages"].values()
        topic, schema = BY_NAME[name], BY_ID[message["x-schema-id"]]
        assert schema is topic.schema
        assert message["payload"]["schema"] == json.loads(schema.text)
        assert fastavro.parse_schema(message["payload"]["schema"], named_schemas={})
        settings = channel["bindings"]["kafka"]["topicConfiguration"]
        assert str(settings["retention.ms"]) == topic.configuration()["retention.ms"]
    for operation in described["operations"].values():
        assert operation["channel"]["$ref"].rpartition("/")[2] in channels


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("native", {"ts": "2026-01-31T12:00:00Z", "metrics": {"t": 21.5}, "units": {"t": "Cel"}, "seq": 7}),
        ("native", {"metrics": {"t": 21.5}, "ts": 1769860800}),
        ("flat", {"temperature": 21.5, "pressure": 1.2}),
    ],
)
def test_what_it_calls_a_form_is_taken_as_one(described: dict[str, Any], form: str, message: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    jsonschema.Draft202012Validator(schemas[form]).validate(message)
    (reading,) = payloads.readings("devices/pump-7/readings", json.dumps(message).encode(), datetime.now(UTC))
    assert reading.device_id == "pump-7"
