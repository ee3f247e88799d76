"""The kinds of field that several models share, and what each accepts."""

import re
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, FiniteFloat, StringConstraints

NAME_LENGTH = 128
# C0, DEL and C1 control characters, and what has a meaning in an MQTT topic.
FORBIDDEN_IN_NAMES = "\\x00-\\x1f\\x7f-\\x9f/+#"
_NAME = re.compile(f"[^{FORBIDDEN_IN_NAMES}]{{1,{NAME_LENGTH}}}")

# Every id that two workers, or two regions, may compute for the same thing is a uuid5 under this name.
NAMESPACE = uuid.UUID("6f1c7d3e-5a53-5c0b-9a0e-7469646567a7")


class Severity(StrEnum):
    """How much an insight matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Direction(StrEnum):
    """Where a value went, seen from its baseline."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


class Source(StrEnum):
    """Who gave the answer."""

    MODEL = "model"
    L1 = "l1"
    L2 = "l2"
    L3 = "l3"
    SEMANTIC = "semantic"
    RULES = "rules"


def is_name(text: str) -> bool:
    """Say whether `text` may be a device id or the name of a metric."""
    return _NAME.fullmatch(text) is not None and _encodes(text)


def _encodes(text: str) -> bool:
    """Lone surrogates are Python strings that no other system can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def deterministic_id(*parts: str) -> str:
    """Make the same id from the same parts, anywhere (RFC 9562, version 5)."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def _name(text: str) -> str:
    if not is_name(text):
        message = f"a name has 1 to {NAME_LENGTH} characters, none of them a control character, '/', '+' or '#'"
        raise ValueError(message)
    return text


def _encodable(text: str) -> str:
    if not _encodes(text):
        message = "a text has no lone surrogates"
        raise ValueError(message)
    return text


def _storable(text: str) -> str:
    if "\x00" in text:
        message = "a text has no character zero, which the database cannot hold"
        raise ValueError(message)
    return _encodable(text)


def _uuid(text: str) -> str:
    try:
        written: str | None = str(uuid.UUID(text))
    except ValueError:
        written = None
    if text != written:
        message = "an id is a UUID, as in 6f1c7d3e-5a53-5c0b-9a0e-7469646567a7"
        raise ValueError(message)
    return text


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        message = "the instant is outside the years 1 to 9999 in UTC"
        raise ValueError(message) from error


Name = Annotated[str, AfterValidator(_name)]
String = Annotated[str, AfterValidator(_encodable)]
# Of records that become rows.
Storable = Annotated[str, AfterValidator(_storable)]
Text = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_storable)]
Uuid = Annotated[str, AfterValidator(_uuid)]
# What Avro's types can hold.
Int = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Long = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Timestamp = Annotated[AwareDatetime, AfterValidator(_utc)]
Finite = FiniteFloat
