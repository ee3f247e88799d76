"""What a body says: readings, and for each item that is none, why. Pure: no clock, no network.

A body is one object, a JSON list of objects, or NDJSON (one object a line; blank lines are passed over):
`{"device_id": …, "ts": …, "metrics": {…}, "units": {…}, "tags": {…}, "seq": …}`, where all but `device_id` and
`metrics` may be absent. `ts` is as `instants.instant` reads it. Without it, a reading has the time of its arrival, so
that sending it again makes another reading; with it, the second is a duplicate and is dropped.

Reasons for refusal of an item: `json` (also: a key that comes twice), `form` (no object), `time`, `future`, `size`,
`invalid` (breaks a rule of `schemas.models.Reading`), `tenant` (the device is somebody else's).
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from schemas import codec
from schemas.errors import PoisonError
from schemas.instants import instant
from schemas.models import MAX_AHEAD, Reading

MAX_ITEMS: Final = 5_000
# Kafka takes a million bytes a record by default, with what stands around the value.
MAX_RECORD: Final = 900_000
_SHOWN: Final = 120


class TooManyError(PoisonError):
    """More items than one request may bring."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that is no reading: its place in the list, or its line, counted from 0."""

    index: int
    reason: str
    detail: str

    def body(self) -> dict[str, object]:
        """Give it as JSON has it."""
        return asdict(self)


@dataclass(slots=True)
class Content:
    """A body: key and Avro value of each reading, in order, and what was refused."""

    records: list[tuple[bytes, bytes]] = field(default_factory=list)
    # Where each of them stood.
    places: list[int] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)

    def without(self, devices: Collection[str]) -> "Content":
        """Refuse the readings of devices that are somebody else's."""
        keys = {device.encode() for device in devices}
        read = list(zip(self.records, self.places, strict=True))
        kept = [(record, place) for record, place in read if record[0] not in keys]
        theirs = [place for (key, _), place in read if key in keys]
        refused = [Rejection(place, "tenant", "the device is somebody else's") for place in theirs]
        return Content(
            [record for record, _ in kept],
            [place for _, place in kept],
            sorted([*self.rejected, *refused], key=lambda one: one.index),
        )


class _Repetitive(dict[str, Any]):
    """An object in which a key comes twice, so that nobody can say what it means."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    return content if len(content) == len(pairs) else _Repetitive(content)


# NaN and the infinities, which JSON does not have but many clients write, refuse their own reading only.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=float)


def read(body: bytes, *, lines: bool, arrived: datetime) -> Content:
    """Read a body that arrived at `arrived`; `lines` says that it is NDJSON.

    Raises:
        TooManyError: more than `MAX_ITEMS`.
        PoisonError: the body as a whole cannot be read, or is empty.

    """
    content = Content()
    for count, (index, item) in enumerate(_lines(body) if lines else _items(body)):
        if count == MAX_ITEMS:
            raise TooManyError("size", f"one request may bring {MAX_ITEMS} readings: send several")
        try:
            content.records.append(_record(_parse(item) if isinstance(item, bytes) else item, arrived))
            content.places.append(index)
        except PoisonError as error:
            content.rejected.append(Rejection(index, error.reason, error.detail))
    if not content.records and not content.rejected:
        raise PoisonError("empty", "there is no reading in the body")
    return content


def _lines(body: bytes) -> Iterator[tuple[int, object]]:
    return ((index, line) for index, line in enumerate(body.split(b"\n")) if line.strip())


def _items(body: bytes) -> Iterable[tuple[int, object]]:
    if not body.strip():
        return ()
    found = _parse(body)
    return enumerate(found if isinstance(found, list) else [found])


def _parse(text: bytes) -> object:
    try:
        return _DECODER.decode(text.decode())
    except UnicodeDecodeError as error:
        raise PoisonError("json", f"not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise PoisonError("json", "nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, and integers of more digits than Python converts
        raise PoisonError("json", str(error)[:_SHOWN]) from error


def _record(item: object, arrived: datetime) -> tuple[bytes, bytes]:
    reading = _reading(item, arrived)
    try:
        value = codec.encode(reading)
    except UnicodeEncodeError as error:
        raise PoisonError("invalid", "units and tags must be text that UTF-8 can hold") from error
    if len(value) > MAX_RECORD:
        raise PoisonError("size", f"a reading of {len(value)} bytes as Avro, and {MAX_RECORD} are allowed")
    return reading.device_id.encode(), value


def _reading(item: object, arrived: datetime) -> Reading:
    if not isinstance(item, dict):
        raise PoisonError("form", "a reading is a JSON object")
    if any(isinstance(part, _Repetitive) for part in (item, *item.values())):
        raise PoisonError("json", "a key comes twice in one object")
    try:
        ts = instant(item["ts"]) if "ts" in item else arrived
    except ValueError as error:
        raise PoisonError("time", f"ts: {error}") from error
    if ts > arrived + MAX_AHEAD:
        raise PoisonError("future", f"ts is over an hour ahead of {arrived.isoformat()}")
    try:
        # Strict: a text is no number, and a truth value neither.
        return Reading.model_validate({**item, "ts": ts}, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ascii(".".join(map(str, first["loc"])))[1:-1][:_SHOWN]
        raise PoisonError("invalid", f"{where}: {first['msg']}") from error
