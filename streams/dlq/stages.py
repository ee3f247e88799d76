"""Where a letter goes again: the stage that refused it, if that takes it now.

What would be refused again stays where it is. Letters of `ingest` and `analyze` go to the topic that they came from, as
copies of the record that they hold (`schemas.origin`): it counts as accepted when it was. A payload of `mqtt` is read
as the bridge reads it, as of when it came. Webhooks are told by those who tell them. A value that lost a conflict goes
again only where the last one stands: under `first` it would lose again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from connectors.kafka.producer import Outgoing
from connectors.mqtt.payloads import readings
from connectors.timescale.settings import ConflictPolicy
from schemas.codec import decode, encode
from schemas.errors import PoisonError, TidegateError
from schemas.instants import to_micros
from schemas.models import AnalysisRequest, Reading, Record
from schemas.origin import place
from schemas.registry import ANALYSIS_REQUEST, READING
from schemas.topics import READINGS
from streams.agents import lookup
from streams.columns import decode as columns
from streams.columns.batch import RawBatch
from streams.columns.validate import validate
from streams.dlq.letter import MQTT, SINK, WEBHOOK, Letter
from streams.dlq.mending import Mending
from streams.replay.expression import ExpressionError, UnsureError

_MODELS: Final[Mapping[str, type[Record]]] = {READING.name: Reading, ANALYSIS_REQUEST.name: AnalysisRequest}

# Gives the headers of a copy: of the place of the original, the key and the value.
Marked = Callable[[bytes, bytes | None, bytes], dict[str, bytes]]


class StaysError(TidegateError):
    """The letter would be refused again; the message says why, in few words."""


@dataclass(frozen=True, slots=True)
class Again:
    """What a letter becomes: records, or a message to a webhook (its name, and the message's id)."""

    records: Sequence[Outgoing] = ()
    message: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Stages:
    """Sends letters where they belong.

    `policy` is which of two conflicting values stands; with `as_payload` the bytes of readings are payloads as MQTT
    takes them, of the device that the key names.
    """

    policy: ConflictPolicy
    mending: Mending
    marked: Marked
    as_payload: bool = False

    def again(self, letter: Letter) -> Again:
        """Say what a letter becomes.

        Raises:
            StaysError: it would be refused again.

        """
        said = letter.said
        if said.value is None:
            raise StaysError("it has no value")
        if said.stage == WEBHOOK:
            hook, message = (said.headers.get(name, b"").decode(errors="replace") for name in ("webhook", "webhook-id"))
            return Again(message=(hook, message))
        if said.stage == SINK and self.policy is ConflictPolicy.FIRST:
            raise StaysError("it lost a conflict, and would lose it again: the first value stands")
        if said.stage == MQTT or self.as_payload:
            return Again([self._copy(letter, *one) for one in self._of_payload(letter)])
        if letter.schema is None or letter.schema.name not in _MODELS:
            raise StaysError(f"nobody here works on {said.topic}")
        key, value = self._mended(letter)
        _check(letter, key, value)
        return Again([self._copy(letter, said.topic, key, value)])

    def _mended(self, letter: Letter) -> tuple[bytes | None, bytes]:
        said, schema = letter.said, letter.schema
        content = letter.content() if self.mending else None
        if not self.mending or schema is None:
            return said.key, said.value or b""
        if content is None:
            raise StaysError("its bytes are no record that could be mended")
        mended, key = self._apply(letter, content)
        try:
            return key, encode(_MODELS[schema.name].model_validate(mended))
        except ValidationError as error:
            raise StaysError(_first(error)) from None

    def _of_payload(self, letter: Letter) -> Sequence[tuple[str, bytes | None, bytes]]:
        said = letter.said
        if "original-size" in said.headers:
            raise StaysError("it was too long to be kept whole")
        topic = said.topic if said.stage == MQTT else f"devices/{letter.device}/readings"
        payload = said.value or b""
        if self.mending:
            content = _json(payload)
            mended, key = self._apply(letter, content)
            payload = json.dumps(mended, default=_plain).encode()
            topic = f"devices/{(key or b'').decode(errors='replace')}/readings"
        try:
            found = readings(topic, payload, said.accepted or said.created)
        except PoisonError as error:
            raise StaysError(f"{error.reason}: {error.detail}") from None
        return [(READINGS.name, one.device_id.encode(), encode(one)) for one in found]

    def _apply(self, letter: Letter, content: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
        try:
            return self.mending.apply(content, letter.facts(), letter.said.key)
        except (UnsureError, ExpressionError) as error:
            raise StaysError(str(error)) from None

    def _copy(self, letter: Letter, topic: str, key: bytes | None, value: bytes) -> Outgoing:
        said = letter.said
        if said.partition is None or said.offset is None or said.accepted is None:
            return Outgoing(topic, key, value)
        origin = place(said.topic.encode(), said.partition, said.offset, to_micros(said.accepted) // 1000)
        return Outgoing(topic, key, value, self.marked(origin, key, value))


def _check(letter: Letter, key: bytes | None, value: bytes) -> None:
    """Refuse what its stage would refuse again."""
    if letter.schema is not None and letter.schema.name == ANALYSIS_REQUEST.name:
        try:
            request = decode(value, AnalysisRequest)
            if lookup.is_needed(request):
                lookup.check(request)
        except PoisonError as error:
            raise StaysError(f"{error.reason}: {error.detail}") from None
        return
    said = letter.said
    accepted = to_micros(said.accepted or said.created)
    one = np.array([0], dtype=np.int64)
    batch = RawBatch(said.topic, 0, offsets=one, accepted=one + accepted, keys=[key], values=[value])
    decoded, undecodable = columns.decode(batch)
    _, invalid = validate(decoded, batch)
    for found in undecodable + invalid:
        raise StaysError(f"{found.reason}: {found.detail}")


def _json(payload: bytes) -> dict[str, Any]:
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise StaysError("its bytes are no object of JSON that could be mended")
    return content


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"invalid: {'.'.join(map(str, first['loc']))}: {first['msg']}"
