"""`GET /asyncapi.json`: all topics, and what devices publish over MQTT, as AsyncAPI 3 describes such things.

It is made from the lists that the code itself goes by (`schemas.topics`, `schemas.registry`).
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from schemas.models import Reading
from schemas.registry import CURRENT
from schemas.topics import TOPICS, Topic

AVRO: Final = "application/vnd.apache.avro+json;version=1.9.0"
MQTT_CHANNEL: Final = "devices"

# Who writes a topic beside us, and who reads it.
_SENT: Final = {"readings": "what devices measured", "analysis-requests": "windows that deserve an explanation"}


def routes() -> APIRouter:
    """Give the route."""
    router = APIRouter()
    described = document()

    @router.get("/asyncapi.json")
    async def asyncapi() -> JSONResponse:
        """Describe the topics, and what devices publish over MQTT."""
        return JSONResponse(described)

    return router


def document() -> dict[str, Any]:
    """Make the document."""
    channels = {topic.name: _channel(topic) for topic in TOPICS} | {MQTT_CHANNEL: _mqtt()}
    operations = {f"read-{topic.name}": _operation("send", topic.name) for topic in TOPICS}
    operations |= {f"write-{name}": _operation("receive", name) for name in _SENT}
    operations["publish-readings"] = _operation("receive", MQTT_CHANNEL)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidegate",
            "version": version("tidegate"),
            "description": "What Tidegate reads and writes: Kafka topics in Avro, and readings of devices over MQTT. "
            "`receive` is what it takes, `send` what others may read.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/vnd.confluent.avro",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _json_forms()},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    schema = topic.schema
    message = {
        "name": schema.name,
        "title": f"{schema.name}, version {schema.version}",
        "contentType": "application/vnd.confluent.avro",
        "payload": {"schemaFormat": AVRO, "schema": json.loads(schema.text)},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "the device id in UTF-8"},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
                "bindingVersion": "0.5.0",
            }
        },
        "x-schema-id": schema.id,
    }
    return {
        "address": topic.name,
        "messages": {schema.name: message},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": int(topic.retention.total_seconds() * 1000),
                    "max.message.bytes": topic.max_message_bytes,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _mqtt() -> dict[str, Any]:
    forms = {
        "native": ("native JSON", "application/json", {"$ref": "#/components/schemas/native"}),
        "flat": ("flat JSON, of the time of its arrival", "application/json", {"$ref": "#/components/schemas/flat"}),
        "senml": ("SenML JSON (RFC 8428)", "application/senml+json", {"type": "array", "items": {"type": "object"}}),
        "avro": (
            "Avro in Confluent's wire format",
            "application/vnd.confluent.avro",
            {"schemaFormat": AVRO, "schema": json.loads(CURRENT[Reading].text)},
        ),
    }
    return {
        "address": "devices/{deviceId}/readings",
        "description": "QoS 1",
        "parameters": {"deviceId": {"description": "1 to 128 characters, no control characters, /, + or #"}},
        "messages": {
            name: {"name": name, "title": title, "contentType": kind, "payload": payload}
            for name, (title, kind, payload) in forms.items()
        },
    }


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _json_forms() -> dict[str, Any]:
    native = Reading.model_json_schema()
    fields = {name: field for name, field in native["properties"].items() if name != "device_id"}
    fields["ts"] = {"type": ["string", "number"], "description": "ISO 8601, UTC without an offset; or since 1970"}
    return {
        "native": {"type": "object", "properties": fields, "required": ["metrics"], "additionalProperties": False},
        "flat": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number"}},
    }
