"""What a device may send on `devices/{device_id}/readings`, made into readings. Pure: no clock, no network.

Four forms, told apart by their content:

- **native** JSON: `{"ts": …, "metrics": {"temperature": 21.5}, "units": {…}, "tags": {…}, "seq": 7}`; all but `metrics`
  may be absent.
- **flat** JSON: `{"temperature": 21.5, "pressure": 1.2}`: every key is a metric, except the names of native's fields,
  which keep their meaning.
- **SenML** JSON (RFC 8428): a list of records, some of which have `n` or `bn` (`senml.py`).
- **Avro** `Reading` in Confluent's wire format: the first byte is zero, which begins no JSON text.

A JSON list may also hold native and flat objects. `ts` is ISO 8601 text, where a time without an offset is UTC, or a
number since 1970: below 1e11 seconds, below 1e14 milliseconds, else microseconds. Without `ts`, a reading has the time
of its arrival. A `device_id` in the payload must be the topic's. A message is taken whole or refused whole.

Reasons for refusal, for grouping: `topic`, `size`, `empty`, `encoding`, `json`, `form` (not one of the four, or a field
of the wrong type), `device`, `time`, `future`, `value` (not a finite number), `senml`, `invalid` (breaks a rule of
`schemas.models.Reading`), and those of `schemas.codec`.
"""

import json
from datetime import datetime
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from connectors.mqtt.senml import MAX_READINGS, is_pack, resolve
from connectors.mqtt.values import instant, number, shown
from schemas import codec
from schemas.errors import PoisonError
from schemas.fields import is_name
from schemas.models import MAX_AHEAD, Reading

MAX_PAYLOAD: Final = 256 * 1024

_FIELDS: Final = frozenset({"device_id", "ts", "metrics", "units", "tags", "seq"})
_AVRO: Final = b"\x00"
_TOPIC_LEVELS: Final = 3


def device_of(topic: str) -> str:
    """Read the device id from `devices/{device_id}/readings`.

    Raises:
        PoisonError: `topic` has another form, or the id breaks the rules for names.

    """
    levels = topic.split("/")
    if len(levels) != _TOPIC_LEVELS or levels[0] != "devices" or levels[2] != "readings":
        raise PoisonError("topic", "not devices/{device_id}/readings")
    if not is_name(levels[1]):
        raise PoisonError("topic", f"{shown(levels[1])} cannot be a device id")
    return levels[1]


def readings(topic: str, payload: bytes, arrived: datetime) -> list[Reading]:
    """Read everything that one message says, at least one reading; `arrived` is aware.

    Raises:
        PoisonError: the message cannot be used; nothing else is ever raised, whatever the bytes.

    """
    device = device_of(topic)
    if len(payload) > MAX_PAYLOAD:
        raise PoisonError("size", f"{len(payload)} bytes, and {MAX_PAYLOAD} are allowed")
    if not payload:
        raise PoisonError("empty")
    found = [_avro(payload, device)] if payload.startswith(_AVRO) else _json(payload, device, arrived)
    latest = arrived + MAX_AHEAD
    for reading in found:
        if reading.ts > latest:
            raise PoisonError("future", f"{reading.ts.isoformat()} is over an hour ahead of {arrived.isoformat()}")
    return found


def _avro(payload: bytes, device: str) -> Reading:
    reading = codec.decode(payload, Reading)
    _same_device(reading.device_id, device)
    return reading


def _json(payload: bytes, device: str, arrived: datetime) -> list[Reading]:
    content = _parse(payload)
    if isinstance(content, dict):
        return [_object(content, device, arrived)]
    if not isinstance(content, list):
        raise PoisonError("form", f"a JSON {type(content).__name__}, and neither an object nor a list")
    if not content:
        raise PoisonError("empty", "a list of nothing")
    if not all(isinstance(entry, dict) for entry in content):
        raise PoisonError("form", "a list may hold objects only")
    if is_pack(content):
        return [
            _reading(device, at, {"metrics": group.metrics, "units": group.units})
            for at, group in resolve(content, device, arrived)
        ]
    if len(content) > MAX_READINGS:
        raise PoisonError("size", f"more than {MAX_READINGS} readings in one message")
    return [_object(entry, device, arrived) for entry in content]


def _parse(payload: bytes) -> object:
    """Parse JSON as RFC 8259 has it: Python's own extensions, and keys that come twice, are refused."""
    try:
        return _DECODER.decode(payload.decode())
    except UnicodeDecodeError as error:
        raise PoisonError("encoding", f"not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise PoisonError("json", "nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, and integers of more digits than Python converts
        raise PoisonError("json", str(error)[:200]) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise PoisonError("json", "a key comes twice in one object")
    return content


def _no_number(literal: str) -> NoReturn:
    raise PoisonError("value", f"{literal} is not a number in JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)


def _object(content: dict[str, Any], device: str, arrived: datetime) -> Reading:
    """Read one native or flat object."""
    if "device_id" in content:
        _same_device(content["device_id"], device)
    fields: dict[str, Any] = {}
    if "metrics" in content:
        if not content.keys() <= _FIELDS:
            raise PoisonError("form", f"unknown field {shown(min(content.keys() - _FIELDS))}")
        metrics = content["metrics"]
        if not isinstance(metrics, dict):
            raise PoisonError("form", "metrics must be an object")
    else:
        metrics = {name: value for name, value in content.items() if name not in _FIELDS}
    fields["metrics"] = {name: number(value, name) for name, value in metrics.items()}
    for name in ("units", "tags"):
        texts = content.get(name, {})
        if not isinstance(texts, dict) or not all(type(text) is str for text in texts.values()):
            raise PoisonError("form", f"{name} must be an object of texts")
        fields[name] = texts
    seq = content.get("seq")
    if seq is not None and type(seq) is not int:
        raise PoisonError("form", "seq must be a whole number")
    fields["seq"] = seq
    return _reading(device, instant(content["ts"]) if "ts" in content else arrived, fields)


def _reading(device: str, ts: datetime, fields: dict[str, Any]) -> Reading:
    try:
        return Reading.model_validate({"device_id": device, "ts": ts, **fields})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = shown(".".join(map(str, first["loc"])))
        raise PoisonError("invalid", f"{where}: {first['msg']}") from error


def _same_device(said: object, device: str) -> None:
    if said != device:
        raise PoisonError("device", f"the payload is of {shown(said)}, the topic of {shown(device)}")
